"""What the control socket and the admin port may ask of a running worker; ``service`` implements it."""

from collections.abc import AsyncIterator
from typing import Literal, Protocol

from msgspec import Struct

from paquebot_mta.mail.envelope import EnvelopeState, Message

Part = Literal["smtp", "mta", "mda"]
"""What can be paused: accepting, relaying (SMTP), local delivery (maildir, mbox, LMTP)."""


class QueueEntry(Struct, frozen=True, kw_only=True, rename="camel"):
    """One envelope of the queue, in the fields and order of ``smtpctl show queue``. Times are seconds since 1970.

    Attributes:
        family: ``inet4``, ``inet6`` or ``local``: where it came from.
        transport: ``mta`` (relay), ``mda`` (local) or ``bounce``.
        flags: of ``bounce``, ``auth``, ``suspend``, ``hold``.
        state: ``pending``, ``inflight`` or ``suspended``; ``due_at`` when it is tried next.
        error: the last reply, control characters replaced.
    """

    evpid: str
    family: str
    transport: str
    flags: tuple[str, ...]
    sender: str
    recipient: str
    destination: str
    created_at: float
    expires_at: float
    last_attempt_at: float
    attempts: int
    state: str
    due_at: float
    error: str
    size: int = 0


class EnvelopeDetail(Struct, frozen=True, kw_only=True, rename="camel"):
    """All that is known of one envelope: ``paquebot show envelope``."""

    evpid: str
    message: Message
    state: EnvelopeState
    schedule: str


class RouteEntry(Struct, frozen=True, kw_only=True, rename="camel"):
    """One route, from a source address to an address of a next hop: ``paquebot show routes``.

    Attributes:
        id: 8 hex digits, the same in all workers; relay: the action it is used for.
        source: our address, empty for the system's choice.
        state: flags as in ``smtpctl show routes``: new, disabled, queued for a change of its penalty, kept (``ND--``).
        queued: messages that wait and may take it; errors: connections that failed since it was last valid.
        timeout_seconds: until its penalty is lowered and it may be used again, None if it has none.
    """

    id: str
    source: str
    destination: str
    state: str
    connections: int
    queued: int
    errors: int
    penalty: int
    timeout_seconds: float | None
    relay: str = ""
    last_error: str = ""


class HostEntry(Struct, frozen=True, kw_only=True, rename="camel"):
    """One address of next hops: ``paquebot show hosts``.

    Attributes:
        routes: how many lead there; idle_seconds: since a connection was opened or closed.
    """

    address: str
    name: str
    routes: int
    connections: int
    idle_seconds: float
    last_error: str = ""


class FilterEntry(Struct, frozen=True, kw_only=True, rename="camel"):
    """One filter: ``paquebot show filters``.

    Attributes:
        kind: ``builtin``, ``process``, ``rspamd`` ...; mode: ``Enforce``, ``Shadow`` or ``Junk``.
        places: ``listener NAME``, ``domain NAME`` or ``relay NAME`` of each use.
        waiting: questions without an answer yet; answered, failed: those before. Of a built-in filter only those count
            whose condition held.
        trouble: why it can't answer, empty while all is well.
    """

    name: str
    kind: str
    mode: str
    places: tuple[str, ...]
    waiting: int
    answered: int
    failed: int
    trouble: str = ""


class KeyEntry(Struct, frozen=True, kw_only=True, rename="camel"):
    """A key of the queue's key ring, or one that is missing there: ``paquebot queue keys``.

    Attributes:
        kid: its id; 0 stands for what is not encrypted.
        created_at: seconds since 1970, None if the ring has no such key.
        writes: new mail is encrypted by it.
        segments: files of the queue that this worker serves; ``locked``: that wait for the key, which all workers see.
    """

    kid: int
    created_at: float | None = None
    writes: bool = False
    segments: int = 0
    locked: int = 0


class Status(Struct, frozen=True, kw_only=True, rename="camel"):
    """Health, readiness and the configuration in use (``/healthz``, ``/readyz``, ``/config``).

    Attributes:
        worker: name of the process; ``pid`` its number.
        ready: accepts and delivers; ``reasons`` say why not. warnings: what is out of order all the same.
        listeners: ``name address:port`` of each, as bound.
        rejected_reason: why the newest configuration was refused, empty if it wasn't.
    """

    worker: str
    pid: int
    healthy: bool
    ready: bool
    draining: bool
    reasons: tuple[str, ...]
    listeners: tuple[str, ...]
    paused: tuple[Part, ...]
    generation: int
    digest: str
    rejected_digest: str = ""
    rejected_reason: str = ""
    warnings: tuple[str, ...] = ()


class Tells(Protocol):
    """What can be asked of every worker, also of one that has no configuration yet."""

    def status(self) -> Status:
        """Say how it is."""

    async def metrics(self) -> bytes:
        """Metrics in Prometheus' text format."""


class Controls(Tells, Protocol):
    """One worker's controls. A target is an envelope id, a message id or ``all``; ValueError names a bad one."""

    def queue(self, target: str = "all") -> AsyncIterator[QueueEntry]:
        """Stream envelopes, oldest first."""

    def message(self, msgid: str) -> AsyncIterator[bytes]:
        """Stream a message's content; LookupError if it is not here."""

    async def envelope(self, evpid: str) -> EnvelopeDetail:
        """Describe an envelope; LookupError if it is not here."""

    def routes(self) -> list[RouteEntry]:
        """List the routes that are known."""

    def hosts(self) -> list[HostEntry]:
        """List the addresses of next hops that are known."""

    def filters(self) -> list[FilterEntry]:
        """List the filters of the configuration in force."""

    def key_uses(self) -> list[KeyEntry]:
        """List the keys of the queue, newest first."""

    def enable_routes(self, target: str) -> int:
        """Let routes be used at once: ``all``, or those with that id or address; says how many rested."""

    def stats(self) -> dict[str, float]:
        """Counts by dotted name, as ``smtpctl show stats``."""

    async def schedule(self, target: str) -> int:
        """Try envelopes at once; says how many."""

    async def remove(self, target: str) -> int:
        """Remove envelopes that are not in flight, without a bounce; says how many."""

    async def suspend(self, target: str) -> int:
        """Hold envelopes back (durably); says how many."""

    async def resume(self, target: str) -> int:
        """Let suspended envelopes go on; says how many."""

    def pause_part(self, part: Part) -> None:
        """Stop accepting (``smtp``: 421 to new sessions) or delivering (``mta``, ``mda``) until resumed."""

    def resume_part(self, part: Part) -> None:
        """Go on with it."""

    def trace(self) -> AsyncIterator[bytes]:
        """Stream events as JSON lines from now on, addresses in full (the socket's permissions protect them)."""
