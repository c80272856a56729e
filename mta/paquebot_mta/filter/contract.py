"""What a filter is, and what it may know. Implementations: built-in ones, processes, services that are asked.

A filter decides; it never answers a client, writes to the spool or emits events: the chain does that for all.
"""

from dataclasses import dataclass, field
from typing import Literal, Protocol

from paquebot_mta.config.filters import Phase
from paquebot_mta.filter.decisions import Decision
from paquebot_mta.mail.ids import Msgid, SessionId


@dataclass(slots=True, kw_only=True)
class Facts:
    """What is known of a session so far; the listener keeps it true.

    Attributes:
        client_address: ``192.0.2.1``, ``2001:db8::1`` or ``local``; client_port: 0 for a unix socket.
        client_name: reverse name, ``<unknown>`` without one; fcrdns: ``pass`` if it is verified.
        hostname: our name in the banner; local_address: where the client came to.
        helo: name given, empty before; method: HELO, EHLO, LHLO or empty.
        user: authenticated name, empty if none. tls: ``TLSv1.3:CIPHER:BITS``, empty without.
        msgid, reverse_path, recipients: of the open transaction; recipients accepted so far.
    """

    session: SessionId
    endpoint: str
    client_address: str
    client_port: int = 0
    client_name: str = "<unknown>"
    fcrdns: Literal["pass", "fail", "error"] = "error"
    hostname: str = ""
    local_address: str = ""
    helo: str = ""
    method: str = ""
    user: str = ""
    tls: str = ""
    msgid: Msgid | None = None
    reverse_path: str | None = None
    recipients: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class FieldEdit:
    """A change of one header field of a message as it came; ``paquebot_mta.filter.fields`` applies it.

    Attributes:
        name: in any case.
        occurrence: 1 is the first field of that name, 0 all of them.
        value: what it becomes, a field that is missing is added; None removes it.
    """

    name: str
    occurrence: int = 0
    value: str | None = None


@dataclass(frozen=True, slots=True)
class Changes:
    """What a judge of content wants done with a message, beside its decision.

    Attributes:
        prepend: header fields, complete lines with CRLF, put in front of the message (before our Received).
        edits: of the fields that the message has, in order.
        body: a new body, None to leave it.
        reverse_path: a new one, empty for the null one; add_recipients, remove_recipients: addresses without <>. A
            message of which no recipient is left is accepted and dropped.
    """

    prepend: tuple[bytes, ...] = ()
    edits: tuple[FieldEdit, ...] = ()
    body: bytes | None = None
    reverse_path: str | None = None
    add_recipients: tuple[str, ...] = ()
    remove_recipients: tuple[str, ...] = ()


NO_CHANGES = Changes()


class Content(Protocol):
    """A message that was received whole and is not stored yet; dots are unstuffed, lines end in CRLF."""

    @property
    def size(self) -> int:
        """Bytes."""

    @property
    def header_size(self) -> int:
        """Bytes of the header section, the empty line included."""

    async def read(self, offset: int, count: int) -> bytes:
        """Bytes from ``offset``; fewer at the end."""


class LineFilter(Protocol):
    """A data-line stream of one message: lines in, lines out, later and as many as it likes."""

    async def feed(self, content: bytes) -> bytes:
        """Give whole lines (CRLF, dots unstuffed); get whatever came back meanwhile, in order.

        Raises FilterError.
        """

    async def finish(self) -> bytes:
        """Say that the message ends, and wait for the rest.

        Raises FilterError.
        """

    def abort(self) -> None:
        """Forget it."""


Failing = Literal["timeout", "crash", "protocol", "table"]


class FilterError(Exception):
    """A filter is dead, late or broke the protocol; its ``on_failure`` decides what becomes of the phase."""

    def __init__(self, cause: str = "", reason: Failing = "crash") -> None:
        """Keep the cause for the log, and the reason for metrics: late, dead, garbage, or a table gave no answer."""
        super().__init__(cause)
        self.reason: Failing = reason


class Filter(Protocol):
    """One filter, for all sessions; it lives from ``start`` to ``close``, over changes of the configuration.

    Attributes:
        name: from the configuration; label of metrics.
        kind: as filter-report spells it.
        phases: where it is asked; nothing else costs anything. May change while it runs (a program registers late).
        judges_content: whether ``judge`` is wanted before the commit. streams: whether ``open_lines`` is.
        shared: it asks a service that is the same for all pods.
    """

    name: str
    kind: Literal["builtin", "proc"]
    phases: frozenset[Phase]
    judges_content: bool
    streams: bool
    shared: bool

    async def decide(self, phase: Phase, facts: Facts, parameter: str) -> Decision:
        """Decide a phase; parameters as in the protocol (address without <>, ``rdns|src`` for connect).

        Has a deadline of its own. Raises FilterError. ``data-line`` is never asked here.
        """

    async def judge(self, facts: Facts, content: Content) -> tuple[Decision, Changes]:
        """Decide about a whole message, after the final dot and before the phase commit. Raises FilterError."""

    def open_lines(self, facts: Facts) -> LineFilter:
        """Begin a data-line stream."""

    def at_recipients(self) -> "Filter":
        """Give the filter as domains use it, which see nothing before a recipient; it is neither started nor closed.

        What it would do before then it does there, if that means anything; else it is not asked about it.
        """

    def forget(self, session: SessionId) -> None:
        """The session ended: nothing more will be asked for it."""

    def trouble(self) -> str:
        """Why it can't answer now, for people; empty while all is well."""

    async def start(self) -> None:
        """Begin, on the event loop; what takes longer goes on in the background. Never raises."""

    async def close(self) -> None:
        """End: no session uses it any more."""
