"""What both sides agree on when a connection begins: actions of the milter, steps it wants to see."""

import struct
from typing import Final

from msgspec import Struct

from paquebot_mta.filter.milter.wire import MilterError

VERSION: Final = 6
_LOWEST: Final = 2
_WITH_DATA: Final = 4
ACTIONS: Final = 0x1FF
"""All: add, change and insert fields, change the body, add (with parameters) and delete recipients, quarantine, change
the sender, and name the macros that are wanted."""

NO_STEP: Final = {
    b"C": 0x1, b"H": 0x2, b"M": 0x4, b"R": 0x8, b"B": 0x10, b"L": 0x20, b"N": 0x40, b"U": 0x100, b"T": 0x200,
}  # fmt: skip
"""Bits by which a milter declines a step, by the step's letter."""
NO_REPLY: Final = {
    b"L": 0x80, b"C": 0x1000, b"H": 0x2000, b"M": 0x4000, b"R": 0x8000, b"T": 0x10000, b"U": 0x20000, b"N": 0x40000,
    b"B": 0x80000,
}  # fmt: skip
"""Bits by which it says that it will not answer one."""
SKIP: Final = 0x400
LEADING_SPACE: Final = 0x100000
STEPS: Final = sum(NO_STEP.values()) + sum(NO_REPLY.values()) + SKIP + LEADING_SPACE
"""What we can do without; recipients that are refused before it is asked aren't told, longer packets not needed."""
_THREE: Final = struct.Struct(">III")

OFFER: Final = _THREE.pack(VERSION, ACTIONS, STEPS)


class Options(Struct, frozen=True):
    """What was agreed on.

    Attributes:
        version: the lower of both.
        actions, steps: bits.
    """

    version: int = VERSION
    actions: int = 0
    steps: int = 0

    def wants(self, letter: bytes) -> bool:
        """Whether a step is to be told; old ones know no DATA."""
        return (letter != b"T" or self.version >= _WITH_DATA) and not self.steps & NO_STEP.get(letter, 0)

    def answers(self, letter: bytes) -> bool:
        """Whether a step will be answered."""
        return not self.steps & NO_REPLY.get(letter, 0)

    @property
    def keeps_space(self) -> bool:
        """Whether the space behind a field's colon is part of its value."""
        return bool(self.steps & LEADING_SPACE)

    @property
    def skips(self) -> bool:
        """Whether it may want to see no more of a body."""
        return bool(self.steps & SKIP)


def read_options(data: bytes) -> Options:
    """Read the milter's side; the macros it names are not needed: it is told all that we have.

    Raises:
        MilterError: it wants what was not offered, or speaks another version.
    """
    if len(data) < _THREE.size:
        raise MilterError("options are cut short")
    version, actions, steps = _THREE.unpack_from(data)
    if not _LOWEST <= version <= VERSION:
        raise MilterError(f"it speaks version {version}")
    if actions & ~ACTIONS or steps & ~STEPS:
        raise MilterError("it wants what was not offered")
    return Options(version, actions, steps)
