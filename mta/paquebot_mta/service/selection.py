"""What a person names when envelopes are to be scheduled, removed, suspended or shown."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from paquebot_mta.admin.targets import ALL, parse_target
from paquebot_mta.mail.envelope import Stored
from paquebot_mta.mail.ids import Evpid, Msgid, msgid_of
from paquebot_mta.spool.store import Spool


@dataclass(frozen=True)
class Selection:
    """All envelopes; those of one message; or one envelope (its message's id is given, too)."""

    msgid: Msgid | None = None
    evpid: Evpid | None = None

    @property
    def is_all(self) -> bool:
        """Whether nothing is left out."""
        return self.msgid is None

    def has(self, evpid: Evpid) -> bool:
        """Whether an envelope of the message is meant."""
        return self.evpid is None or evpid == self.evpid


def parse_selection(target: str) -> Selection:
    """Read ``all``, a message id or an envelope id.

    Raises:
        ValueError: it is none of them.
    """
    text = parse_target(target)
    if text == ALL:
        return Selection()
    msgid = msgid_of(Evpid(text))
    return Selection(msgid, Evpid(text) if text != msgid else None)


async def selected(spool: Spool, selection: Selection) -> AsyncIterator[Stored]:
    """Read the messages that are meant: only one of a long queue, if only one is.

    Raises:
        SpoolError: that one can't be read.
    """
    if selection.msgid is None:
        async for stored in spool.walk():
            yield stored
    elif (found := await spool.load(selection.msgid)) is not None:
        yield found
