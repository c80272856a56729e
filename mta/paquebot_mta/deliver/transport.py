"""What a delivery promises: a transaction in, an outcome for each recipient out."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Protocol

from msgspec import Struct

from paquebot_mta.mail.envelope import Envelope, Message
from paquebot_mta.mail.ids import Evpid
from paquebot_mta.mail.outcome import Outcome


class Task(Struct, frozen=True):
    """One message for some of its recipients, all with one action and one effective reverse-path.

    Attributes:
        message: the message; ``message.envelopes`` are all of it, delivered ones too.
        envelopes: the ones to deliver now, at least one.
        reverse_path: the effective one.
        content: opens the content anew at each call, in chunks of at most 64 KiB.
        before_final_dot: called just before the next hop could take responsibility; False means that the queue is no
            longer ours, or that nothing could be kept of what becomes of it: stop.
    """

    message: Message
    envelopes: tuple[Envelope, ...]
    reverse_path: str
    content: Callable[[], AsyncIterator[bytes]]
    before_final_dot: Callable[[], Awaitable[bool]]


class Receipt(Struct, frozen=True):
    """What a delivery says: outcomes by envelope, and for the log who took it.

    Attributes:
        outcomes: one for each envelope of the task.
        relay: who was tried, ``192.0.2.1 (mx.example.org)``; reached: whether it took the connection.
        source: our address; session: the outbound session's id; tls: ``TLSv1.3:CIPHER:BITS`` or empty.
    """

    outcomes: Mapping[Evpid, Outcome]
    relay: str = ""
    source: str = ""
    session: str = ""
    tls: str = ""
    reached: bool = False


class Transport(Protocol):
    """Delivers tasks. Never raises for what a peer, disk or content does: that is an outcome (internal faults:
    Deferred 4yz)."""

    async def deliver(self, task: Task) -> Receipt:
        """Try once, within its own deadlines."""
