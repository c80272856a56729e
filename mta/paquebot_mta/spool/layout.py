"""Where things lie under ``spool/v1``, and the file that says which format it is."""

import os
import re
from dataclasses import dataclass
from typing import Final

import msgspec
from msgspec import Struct

from paquebot_mta.mail.ids import RandomBits
from paquebot_mta.spool.disk import Disk, read_file, write_file
from paquebot_mta.spool.format import MAX_INCARNATION_BYTES

_INCARNATION: Final = re.compile(r"[0-9a-f]{16}(?:-[a-z0-9.-]+)?")
_SEGMENT: Final = re.compile(r"seg-([0-9a-f]{16})\.q")
VERSION: Final = 1
"""Of the directories and of ``format``; segments have one of their own."""
_FORMAT_BYTES: Final = 4096
_DIRECTORIES: Final = ("pods", "adopt", "offline", "corrupt", "grave")


class SpoolFormatError(Exception):
    """The directory holds something that this version must not touch."""


class Format(Struct, frozen=True):
    """The file ``format``."""

    version: int
    cluster: str


@dataclass(frozen=True, slots=True)
class Layout:
    """Paths of one spool."""

    root: str

    @property
    def base(self) -> str:
        """``spool/v1``."""
        return f"{self.root}/v{VERSION}"

    def at(self, *names: str) -> str:
        """Path of something under ``spool/v1``."""
        return "/".join((self.base, *names))

    def home(self, incarnation: str) -> str:
        """Directory of an incarnation."""
        return self.at("pods", incarnation)


def segment_name(segment_id: int) -> str:
    """Name a segment's file."""
    return f"seg-{segment_id:016x}.q"


def parse_segment_name(name: str) -> int | None:
    """Read the id from a file name; None for any other file."""
    found = _SEGMENT.fullmatch(name)
    return int(found[1], 16) if found else None


def is_incarnation(name: str) -> bool:
    """Tell whether a directory is an incarnation's."""
    return len(name) <= MAX_INCARNATION_BYTES and _INCARNATION.fullmatch(name) is not None


def new_incarnation(name: str, randbits: RandomBits) -> str:
    """Draw a name that no start ever had: 16 hex digits and what a person calls it."""
    readable = re.sub(r"[^a-z0-9.-]", "-", name.lower())[: MAX_INCARNATION_BYTES - 17]
    return f"{randbits(64):016x}" + (f"-{readable}" if readable else "")


def prepare(layout: Layout, disk: Disk, randbits: RandomBits) -> Format:
    """Make the directories, or check that they are ours; several processes may do it at once.

    Raises:
        SpoolFormatError: another version, or a spool without its format file; nothing was touched.
    """
    found = _read_format(layout, disk)
    if found is None and disk.exists(layout.at("pods")):
        found = _read_format(layout, disk)  # another process may have made both in between
        if found is None:
            raise SpoolFormatError(f"{layout.base} has no readable format file")
    found = found or _create_format(layout, disk, randbits)
    if found.version != VERSION:
        raise SpoolFormatError(f"{layout.base} is of version {found.version}, this program knows {VERSION}")
    for name in _DIRECTORIES:
        disk.mkdir(layout.at(name))
    disk.sync_dir(layout.base)
    return found


def _read_format(layout: Layout, disk: Disk) -> Format | None:
    try:
        data = read_file(disk, layout.at("format"), _FORMAT_BYTES)
    except FileNotFoundError:
        return None
    try:
        return msgspec.json.decode(data, type=Format)
    except msgspec.DecodeError as error:
        raise SpoolFormatError(f"{layout.at('format')} is not readable: {error}") from error


def _create_format(layout: Layout, disk: Disk, randbits: RandomBits) -> Format:
    """Write the file beside its place and link it there: the first of several processes wins."""
    disk.mkdir(layout.root)
    disk.mkdir(layout.base)
    draft = layout.at(f".format-{randbits(64):016x}")
    write_file(disk, draft, msgspec.json.encode(Format(VERSION, f"{randbits(128):032x}")))
    try:
        disk.link(draft, layout.at("format"))
    except FileExistsError:
        pass
    finally:
        disk.unlink(draft)
    disk.sync_dir(layout.base)
    disk.sync_dir(layout.root)
    disk.sync_dir(os.path.dirname(layout.root) or ".")
    found = _read_format(layout, disk)
    if found is None:
        raise SpoolFormatError(f"{layout.at('format')} vanished")
    return found
