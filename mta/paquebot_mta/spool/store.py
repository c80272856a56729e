"""What a queue back end promises. ``journal`` keeps it on a volume; ``memory`` and ``null`` lose mail by design.

A back end stores messages, contents and states; it knows nothing of time tables, routes or SMTP sessions. Every
coroutine
that returns has made its effect durable; every fault is a ``SpoolError`` that carries the 4yz reply for the client.
"""

from collections.abc import AsyncIterator, Sequence
from typing import Final, Protocol

from msgspec import Struct, msgpack

from paquebot_mta.config.service import Queue
from paquebot_mta.mail.envelope import Envelope, EnvelopeState, Message, Result, Stored
from paquebot_mta.mail.ids import Evpid, Msgid
from paquebot_mta.mail.reply import Reply

MAX_ENVELOPES_BYTES: Final = 8 * 1024 * 1024 - 64 * 1024
"""What all envelopes of a message may take; some ten thousand with long addresses."""
_ENCODER: Final = msgpack.Encoder()


def envelope_bytes(envelope: Envelope) -> int:
    """What an envelope takes of ``MAX_ENVELOPES_BYTES``."""
    return len(_ENCODER.encode(envelope))


class SpoolStats(Struct, frozen=True):
    """Counts now.

    Attributes:
        messages, envelopes, bytes: live ones.
        possible_duplicates: intents without a result found at recovery.
        corrupt: records put into quarantine.
        syncs: calls of fdatasync; ``commits``: records batches waited for (their ratio is the group commit's gain).
        free_bytes: of the volume, -1 if not known.
        locked: segments that no key of the key ring opens; their mail waits.
    """

    messages: int
    envelopes: int
    bytes: int
    possible_duplicates: int = 0
    corrupt: int = 0
    syncs: int = 0
    commits: int = 0
    free_bytes: int = -1
    locked: int = 0


class KeyUse(Struct, frozen=True, kw_only=True, rename="camel"):
    """A key of the queue's key ring, or one that is missing there.

    Attributes:
        kid: its id; 0 stands for segments that are not sealed.
        created_at: seconds since 1970, None if the ring has no such key.
        writes: new segments are sealed by it.
        segments: that this process serves; ``locked``: that wait for it, for all processes see the same of them.
    """

    kid: int
    created_at: float | None = None
    writes: bool = False
    segments: int = 0
    locked: int = 0


class Waiting(Struct, frozen=True):
    """A message that a start found in the queue, as far as planning its deliveries needs it.

    Attributes:
        created_at: when it was accepted, seconds since 1970.
        size: bytes of content.
        states: of the envelopes that are not final.
    """

    msgid: Msgid
    created_at: float
    size: int
    states: dict[Evpid, EnvelopeState]


class Lost(Struct, frozen=True):
    """Everything that was in the queue until now is another process's: forget it, and deliver none of it."""


class SpoolError(Exception):
    """The back end could not do it. ``reply`` is 451 4.3.0 (a fault), 452 4.3.1 (no space) or 452 4.5.3 (too many
    envelopes), never 5yz, never detailed."""

    def __init__(self, reply: Reply, cause: str) -> None:
        """Keep the public reply and the private cause (for the log)."""
        super().__init__(cause)
        self.reply = reply


class Draft(Protocol):
    """A message on its way in: nothing of it exists for anyone else until ``commit`` returned."""

    @property
    def msgid(self) -> Msgid:
        """The id, unique among live messages of this back end."""

    @property
    def size(self) -> int:
        """Bytes written so far."""

    def write(self, chunk: bytes) -> None:
        """Append content (any length, never blocks, never does I/O on the caller's thread)."""

    async def drain(self) -> None:
        """Wait until little enough is buffered (content beyond 256 KiB goes to a private segment while it comes in).

        Raises:
            SpoolError: writing failed; the draft is dead, only ``abort`` is left.
        """

    async def commit(self, message: Message, *, together: bool = False) -> None:
        """Make content and envelopes durable: after this returns, the 250 may go out.

        ``together``: not yet; it is one of several messages, and a restart finds it only after ``Spool.confirm``.

        ``message.msgid`` must be the draft's and ``message.size`` its size. Must be shielded from cancellation by the
        back end itself.

        Raises:
            SpoolError: not stored; nothing will be delivered. Too many envelopes are among the reasons.
        """

    def abort(self) -> None:
        """Forget it. Harmless after commit or a second time."""


class Spool(Protocol):
    """Durable messages, contents and states."""

    def create(self, *, size_hint: int = 0) -> Draft:
        """Begin a message; ``size_hint`` is SIZE of MAIL or 0.

        Raises:
            SpoolError: no space (452) or the volume is out of order (451).
        """

    async def confirm(self, msgids: Sequence[Msgid]) -> None:
        """Make messages that were committed together count, all in one step: after this returns, the 250 may go out.

        Raises:
            SpoolError: nobody knows whether they do; take them back by ``update``.
        """

    async def load(self, msgid: Msgid) -> Stored | None:
        """Read envelopes and states; None if the message is gone."""

    async def load_many(self, msgids: Sequence[Msgid]) -> dict[Msgid, Stored]:
        """Read many at once, which costs a fraction for each; those gone or unreadable are left out: ``load`` tells.

        Raises:
            SpoolError: the volume does not answer.
        """

    def content(self, msgid: Msgid) -> AsyncIterator[bytes]:
        """Read the content in chunks of at most 64 KiB, verified before they are given out.

        Raises:
            SpoolError: unreadable or damaged.
        """

    def intend(self, evpids: Sequence[Evpid]) -> None:
        """Note, without waiting, that a final dot is about to be sent: makes possible duplicates countable."""

    async def owned(self) -> bool:
        """Whether our part of the volume is still ours, and intents are written to it; ask before each final dot."""

    async def update(self, results: Sequence[Result]) -> None:
        """Store results durably; a message whose envelopes are all final is forgotten.

        Raises:
            SpoolError: not stored.
        """

    def walk(self) -> AsyncIterator[Stored]:
        """All live messages, oldest first. Tolerates changes meanwhile."""

    def recovered(self) -> AsyncIterator[Waiting]:
        """What the start found, oldest first; only once, and without reading any of it: a long queue starts soon."""

    def changes(self) -> AsyncIterator[Waiting | Lost]:
        """What comes and goes without us: messages taken over from dead processes, and the loss of our own.

        Only one consumer; nothing new is accepted after a loss until the next change is asked for.
        """

    def has(self, msgid: Msgid) -> bool:
        """Whether the message is in the queue, and ours."""

    def trouble(self) -> str:
        """Why nothing can be stored now, for people; empty while all is well (a full volume still takes results)."""

    def stats(self) -> SpoolStats:
        """Counts for metrics and the command line."""

    async def close(self) -> None:
        """Sync, say goodbye, release."""


class BackEnd(Spool, Protocol):
    """A spool as the service has it: what may change while it is open."""

    async def reconfigure(self, queue: Queue) -> None:
        """Go on with another key ring and compression; all else of a queue holds from its opening on."""

    def key_uses(self) -> Sequence[KeyUse]:
        """Which keys there are, and what is sealed by them."""
