"""How a next hop breaks off, stalls, resets or lies at each phase of a transaction, and what must come of it.

Pure: a table of scripts for `FakeMx` with what is expected of the sender (RFC 5321, 4.2.5 and 4.5.3.2).
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from tests.support.fake_mx_script import DROP, EXTENSIONS, RESET, STALL, Answer, Step, Then


class Expected(enum.Enum):
    """What becomes of the message."""

    AT_ONCE = "delivered by the first attempt"
    RETRIED = "deferred, then delivered; its content was taken once"
    REFUSED_WHOLE = "the content arrived and was refused for now, then delivered by a later attempt"
    MAYBE_TWICE = "the connection was lost after the final dot: tried again, and the log says that it may be double"
    FAILED = "bounced, and never delivered"


@dataclass(frozen=True)
class Lie:
    """What a next hop does the first time; the second time it is good."""

    name: str
    phase: str
    first: Step
    expected: Expected
    extensions: tuple[str, ...] = EXTENSIONS
    has_tls: bool = False
    is_large: bool = False

    def __str__(self) -> str:
        return self.name

    @property
    def stalls(self) -> bool:
        """Whether the next hop keeps the connection and does nothing with it any more."""
        return isinstance(self.first, Answer) and self.first.then is Then.STALL

    @property
    def recipient(self) -> str:
        """The address that has this next hop."""
        return f"friend@{self.domain}"

    @property
    def domain(self) -> str:
        """The domain that has this next hop."""
        return f"{self.name}.lies.test"

    @property
    def steps(self) -> tuple[Step, Step]:
        """The answers to the phase."""
        return self.first, GOOD[self.phase]

    @property
    def content(self) -> bytes:
        """A message; a large one fills every buffer on the way, so that it can be broken off."""
        lines = 100_000 if self.is_large else 40
        return f"Subject: {self.name}\r\n\r\n".encode() + b"".join(b"%077d\r\n" % number for number in range(lines))


GOOD: Final[dict[str, Step]] = {
    "CONNECT": Answer(None),
    "BANNER": "220 mx.test ESMTP",
    "EHLO": "250-mx.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE 50000000",
    "STARTTLS": "220 2.0.0 go ahead",
    "AUTH": "235 2.7.0 authenticated",
    "MAIL": "250 2.1.0 sender ok",
    "RCPT": "250 2.1.5 recipient ok",
    "DATA": "354 go ahead",
    "BODY": Answer(None),
    "DOT": "250 2.0.0 taken",
    "QUIT": Answer("221 2.0.0 bye", Then.CLOSE),
}
_LOCKSTEP: Final = tuple(each for each in EXTENSIONS if each not in ("PIPELINING", "SIZE 10485760"))
_BREAKS: Final = {"drop": DROP, "reset": RESET, "stall": STALL}
_ENDLESS: Final = "\r\n".join(["250-again"] * 100_000)
_LONG: Final = "x" * 1_048_576

_WORDS: Final[dict[str, dict[str, tuple[Step, Expected]]]] = {
    "BANNER": {
        "554": ("554 5.3.2 no mail here", Expected.RETRIED),
        "421": (Answer("421 4.3.2 too busy", Then.CLOSE), Expected.RETRIED),
        "garbage": ("ahoy", Expected.RETRIED),
        "250": ("250 mx.test", Expected.RETRIED),
        "endless": (Answer(_ENDLESS.replace("250", "220"), Then.STALL), Expected.RETRIED),
        "long": (Answer("220 " + _LONG), Expected.RETRIED),
    },
    "EHLO": {
        "421": (Answer("421 4.3.2 too busy", Then.CLOSE), Expected.RETRIED),
        "451": ("451 4.3.0 not now", Expected.RETRIED),
        "502": ("502 5.5.1 never heard of it", Expected.AT_ONCE),
        "mixed": ("250-mx.test\r\n550 SIZE 1", Expected.RETRIED),
        "endless": (Answer(_ENDLESS, Then.STALL), Expected.RETRIED),
        "escape": ("250-mx.test\r\n250 \x1b]0;owned\x07", Expected.AT_ONCE),
    },
    "STARTTLS": {
        "454": ("454 4.7.0 no TLS today", Expected.AT_ONCE),
        "injected": ("220 2.0.0 go ahead\r\n250 injected", Expected.RETRIED),
        "nonsense": (Answer("220 2.0.0 go ahead\r\n", Then.CLOSE), Expected.RETRIED),
        # A handshake that fails leads to plain text, as nobody demanded TLS.
        "handshake-drop": (Answer("220 2.0.0 go ahead", Then.CLOSE), Expected.AT_ONCE),
        "handshake-stall": (Answer("220 2.0.0 go ahead", Then.STALL), Expected.AT_ONCE),
    },
    "AUTH": {
        "535": ("535 5.7.8 no", Expected.RETRIED),
        "454": ("454 4.7.0 not now", Expected.RETRIED),
        "334": ("334 bW9yZQ==", Expected.RETRIED),
        "250": ("250 2.0.0 fine", Expected.RETRIED),
    },
    "MAIL": {
        "421": (Answer("421 4.3.2 too busy", Then.CLOSE), Expected.RETRIED),
        "451": ("451 4.3.0 not now", Expected.RETRIED),
        "354": ("354 send it all", Expected.RETRIED),
        "550": ("550 5.7.1 not from you", Expected.FAILED),
        "garbage": ("why not", Expected.RETRIED),
        "mixed": ("250-ok\r\n550 5.1.0 no", Expected.RETRIED),
        "both": ("250 2.1.0 ok\r\n250 2.1.5 ok", Expected.RETRIED),
    },
    "RCPT": {
        "421": (Answer("421 4.3.2 too busy", Then.CLOSE), Expected.RETRIED),
        "450": ("450 4.2.1 greylisted", Expected.RETRIED),
        "354": ("354 send it all", Expected.RETRIED),
        "550": ("550 5.1.1 nobody", Expected.FAILED),
        "long": (Answer("250 " + _LONG), Expected.RETRIED),
        "both": ("250 2.1.5 ok\r\n250 2.1.5 ok", Expected.RETRIED),
    },
    "DATA": {
        "421": (Answer("421 4.3.2 too busy", Then.CLOSE), Expected.RETRIED),
        "451": ("451 4.3.0 not now", Expected.RETRIED),
        "250": ("250 2.0.0 taken already", Expected.RETRIED),
        "554": ("554 5.5.1 no", Expected.FAILED),
        "early": ("354 go ahead\r\n250 2.0.0 taken", Expected.RETRIED),
    },
    "BODY": {
        "421": (Answer("421 4.3.2 stop", Then.CLOSE, after_bytes=2000), Expected.RETRIED),
        "250": (Answer("250 2.0.0 enough", Then.RESET, after_bytes=2000), Expected.RETRIED),
        "554": (Answer("554 5.6.0 stop", Then.RESET, after_bytes=2000), Expected.RETRIED),
    },
    "DOT": {
        "421": (Answer("421 4.3.2 too busy", Then.CLOSE), Expected.REFUSED_WHOLE),
        "451": ("451 4.3.0 disk full", Expected.REFUSED_WHOLE),
        "354": ("354 more", Expected.REFUSED_WHOLE),
        "550": ("550 5.7.1 spam", Expected.FAILED),
        "garbage": ("thanks", Expected.MAYBE_TWICE),
        "endless": (Answer(_ENDLESS, Then.STALL), Expected.MAYBE_TWICE),
        "escape": ("250 2.0.0 \x1b[31mtaken\x1b[0m \x07\xff", Expected.AT_ONCE),
        "both": ("250 2.0.0 taken\r\n550 5.0.0 not taken", Expected.AT_ONCE),
    },
    "QUIT": {"garbage": ("stay", Expected.AT_ONCE), "554": ("554 5.0.0 no way out", Expected.AT_ONCE)},
}


def lies() -> Iterator[Lie]:
    """Make the table."""
    for phase in GOOD:
        for name, step in _BREAKS.items():
            yield _lie(f"{phase.lower()}-{name}", phase, step, _when_broken(phase))
        for name, (words, expected) in _WORDS.get(phase, {}).items():
            yield _lie(f"{phase.lower()}-{name}", phase, words, expected)
    for phase in ("MAIL", "RCPT", "DATA", "DOT"):
        for name, step in _BREAKS.items():
            yield Lie(f"{phase.lower()}-{name}-lockstep", phase, step, _when_broken(phase), _LOCKSTEP)


def _lie(name: str, phase: str, step: Step, expected: Expected) -> Lie:
    if phase in ("STARTTLS", "AUTH"):
        return Lie(name, phase, step, expected, (*EXTENSIONS, "AUTH PLAIN"), has_tls=True)
    if phase == "BODY":
        broken = step if isinstance(step, Answer) and step.after_bytes else _after(step, 2000)
        return Lie(name, phase, broken, expected, ("PIPELINING", "8BITMIME"), is_large=True)
    return Lie(name, phase, step, expected)


def _after(step: Step, count: int) -> Answer:
    assert isinstance(step, Answer)
    return Answer(step.text, step.then, after_bytes=count)


def _when_broken(phase: str) -> Expected:
    return {"DOT": Expected.MAYBE_TWICE, "QUIT": Expected.AT_ONCE}.get(phase, Expected.RETRIED)
