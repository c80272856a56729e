"""Identifiers: session, message and envelope ids, as they stand in logs, replies and reports.

Lengths and spelling are OpenSMTPD's: a message id is 32 random bits in 8 lower-case hex digits; an envelope id is the
message id followed by 8 more digits, so one id finds all envelopes of a message without an index.
"""

import re
from collections.abc import Callable
from typing import Final, NewType

SessionId = NewType("SessionId", str)
"""16 lower-case hex digits."""
Msgid = NewType("Msgid", str)
"""8 lower-case hex digits, never all zero."""
Evpid = NewType("Evpid", str)
"""16 lower-case hex digits: the message id and 8 more."""

RandomBits = Callable[[int], int]
"""Gives an integer of that many random bits, as ``random.getrandbits`` and ``secrets.randbits`` do."""

_MSGID: Final = re.compile(r"[0-9a-f]{8}")
_EVPID: Final = re.compile(r"[0-9a-f]{16}")


def new_session_id(randbits: RandomBits) -> SessionId:
    """Draw a session id."""
    return SessionId(f"{randbits(64):016x}")


def new_msgid(randbits: RandomBits) -> Msgid:
    """Draw a message id; the caller makes sure that no live message has it."""
    return Msgid(f"{randbits(32) or 1:08x}")


def new_evpid(msgid: Msgid, randbits: RandomBits) -> Evpid:
    """Draw an envelope id of that message; the caller makes sure that it is unique within the message."""
    return Evpid(f"{msgid}{randbits(32) or 1:08x}")


def msgid_of(evpid: Evpid) -> Msgid:
    """Name the message that an envelope belongs to."""
    return Msgid(evpid[:8])


def parse_msgid(text: str) -> Msgid:
    """Read a message id as a person typed it.

    Raises:
        ValueError: the text is not 8 hex digits.
    """
    if not _MSGID.fullmatch(folded := text.strip().lower()):
        raise ValueError(f"not a message id (8 hex digits): {text!r}")
    return Msgid(folded)


def parse_evpid(text: str) -> Evpid:
    """Read an envelope id as a person typed it.

    Raises:
        ValueError: the text is not 16 hex digits.
    """
    if not _EVPID.fullmatch(folded := text.strip().lower()):
        raise ValueError(f"not an envelope id (16 hex digits): {text!r}")
    return Evpid(folded)
