"""The messages of one transaction, found in a log: all of them count, or none.

Each is stored by an ACCEPT that says ``together``; when all are durable one CONFIRMED names them all, and only then the
client is told. So who died in between left messages that nobody was promised: the client comes again, and would have
them twice. They are left where they are, and go with their segments.

Losing one that was promised would be worse than having it twice. So the segment of a CONFIRMED goes after those of its
messages, and where that record may be among what can't be read, or is damaged, they count. A volume may show an old
view of what a process on another machine wrote: what is left is kept in mind, and counts once the record is seen.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from paquebot_mta.spool.segment import Home, Segment

if TYPE_CHECKING:
    from paquebot_mta.spool.replay import Found


def leave_unconfirmed(
    homes: Mapping[Home, Collection[Segment]], messages: Sequence[Found], doubtful: Collection[str]
) -> list[Found]:
    """Return the messages that count.

    Args:
        homes: whose logs were read, with all their segments; they remember what a later look needs to know.
        messages: live ones.
        doubtful: incarnations of whose logs something is missing.
    """
    for home, segments in homes.items():
        home.unconfirmed = {}
        _pin_unread(home, segments)
    counting = [found for found in messages if not found.together or _counts(found, doubtful)]
    for home, segments in homes.items():
        if home.proven and not any(segment.unread for segment in segments):
            home.confirmed = {}
    return counting


def _counts(found: Found, doubtful: Collection[str]) -> bool:
    """Whether a message was promised, as far as anybody can know; if not its home remembers it."""
    home = found.segment.home
    record = home.confirmed.pop(found.msgid, None)
    if record is not None:
        record.pin([found.segment])
    elif home.incarnation not in doubtful:
        home.unconfirmed[found.msgid] = found
        return False
    return True


def _pin_unread(home: Home, segments: Collection[Segment]) -> None:
    """What can't be read now may hold messages that CONFIRMED names."""
    unread = [segment for segment in segments if segment.unread]
    for record in home.confirmed.values():
        record.pin(unread)


def remembered(home: Home) -> dict[str, Found]:
    """What was left at an earlier look and is still there."""
    kept: dict[str, Found] = {
        msgid: found for msgid, found in home.unconfirmed.items() if found.segment.segment_id in home.segments
    }
    for found in kept.values():
        found.another = None
    return kept
