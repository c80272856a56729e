"""A recorded session played again before filters: they hear its events and are asked in its phases.

Content isn't part of a record: whoever plays it gives messages, one for each transaction that came so far; without
them, filters that look at content are not asked about it. Nothing is answered to anyone.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from paquebot_mta.config.filters import Phase
from paquebot_mta.filter.chain import Chain, Verdict
from paquebot_mta.filter.content import ContentRun, Surroundings
from paquebot_mta.filter.contract import Changes, Facts
from paquebot_mta.filter.hold import Holder
from paquebot_mta.filter.reports.recorded import Recorded
from paquebot_mta.mail.commands import parse_chunk
from paquebot_mta.mail.ids import SessionId
from paquebot_mta.mail.parameters import CommandError
from paquebot_mta.telemetry import events
from paquebot_mta.telemetry.bus import Bus
from paquebot_mta.telemetry.events import Report

_PHASES: Final[dict[str, Phase]] = {
    "HELO": "helo", "EHLO": "ehlo", "STARTTLS": "starttls", "AUTH": "auth", "MAIL": "mail-from", "RCPT": "rcpt-to",
    "DATA": "data", ".": "commit", "RSET": "rset", "NOOP": "noop", "QUIT": "quit",
}  # fmt: skip
_CHUNK: Final = "BDAT"


@dataclass(frozen=True, slots=True)
class Asked:
    """A phase that was asked about, and how it ended."""

    session: SessionId
    phase: Phase
    parameter: str
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Seen:
    """A message that filters were given, and what became of it.

    Attributes:
        verdict: how they decided; junk: whether one said so.
        before, after: the message, with CRLF. changes: what judges want of its envelope, too.
    """

    session: SessionId
    verdict: Verdict
    junk: bool
    before: bytes
    after: bytes
    changes: tuple[Changes, ...]


@dataclass(slots=True)
class _Chunks:
    """How far the chunks of a transaction came (RFC 3030).

    Attributes:
        taken: it was recorded that they may come; last: the last one came.
    """

    taken: bool = False
    last: bool = False


class Rehearsal:
    """Plays recorded sessions (smtp-in) before a chain.

    Args:
        bus: that the chain's filters listen to.
        tell: takes each phase that somebody is asked about, and each message.
        messages: contents with CRLF of the transactions, in their order; the last one is for all others, too.
    """

    def __init__(
        self, chain: Chain, bus: Bus, tell: Callable[[Asked | Seen], None], messages: Sequence[bytes] = ()
    ) -> None:
        self._chain = chain
        self._bus = bus
        self._tell = tell
        self._messages = messages
        self._given = 0
        self._known: dict[SessionId, Facts] = {}
        self._chunks: dict[SessionId, _Chunks] = {}

    async def play(self, lines: Iterable[Recorded]) -> int:
        """Play all lines, in order, and say how many sessions there were."""
        sessions = 0
        for each in lines:
            event = each.event
            if event.direction == "in" and not isinstance(event, events.FilterReport | events.FilterResponse):
                sessions += isinstance(event, events.LinkConnect)
                await self._step(event)
        return sessions

    async def _step(self, event: Report) -> None:
        self._bus.emit(event)
        if isinstance(event, events.LinkConnect):
            facts = self._known[event.session] = _facts(event)
            await self._ask(facts, "connect", _client(facts))
        elif (facts_of := self._known.get(event.session)) is None:
            return
        elif isinstance(event, events.ProtocolClient):
            await self._command(facts_of, event.command)
        elif isinstance(event, events.TxData):
            await self._allowed(facts_of, event)
        elif isinstance(event, events.LinkDisconnect):
            del self._known[event.session]
            self._chunks.pop(event.session, None)
            for member in self._chain.members:
                member.filter.forget(event.session)
        else:
            if isinstance(event, events.TxReset):
                self._chunks.pop(event.session, None)
            _learn(facts_of, event)

    async def _command(self, facts: Facts, line: str) -> None:
        verb, _, argument = line.partition(" ")
        phase = _PHASES.get(verb.upper())
        if phase == "commit":
            await self._end(facts)
        elif phase is not None:
            await self._ask(facts, phase, _parameter(phase, argument))
        elif verb.upper() == _CHUNK and facts.recipients:
            await self._chunk(facts, argument)

    async def _chunk(self, facts: Facts, argument: str) -> None:
        """Ask before the first chunk as before DATA; the last one ends the message."""
        try:
            last = parse_chunk(argument).last
        except CommandError:
            return
        chunks = self._chunks.setdefault(facts.session, _Chunks())
        chunks.last = last
        if not chunks.taken:
            await self._ask(facts, "data", "")
        elif last:
            await self._end(facts)

    async def _allowed(self, facts: Facts, event: events.TxData) -> None:
        """Go on with a message that came in one chunk: what was recorded of its begin is told before its end."""
        chunks = self._chunks.get(facts.session)
        if chunks is not None and event.result == "ok":
            chunks.taken = True
            if chunks.last:
                await self._end(facts)

    async def _end(self, facts: Facts) -> None:
        self._chunks.pop(facts.session, None)
        if not await self._is_refused(facts):
            await self._ask(facts, "commit", "")

    async def _is_refused(self, facts: Facts) -> bool:
        """Give filters the next message, if they look at any; whoever is refused is asked nothing more about it."""
        if facts.msgid is None or not self._messages or not self._chain.holds_content:
            return False
        message = self._messages[min(self._given, len(self._messages) - 1)]
        self._given += 1
        run = ContentRun(self._chain, facts, Surroundings(Holder(), time.monotonic, len(message), b""))
        try:
            run.write(message)
            await run.drain()
            letter = await run.finish()
            after = b"".join([chunk async for chunk in letter.chunks()])
        finally:
            run.close()
        self._tell(Seen(facts.session, run.verdict, run.junk, message, after, tuple(run.changes)))
        return run.verdict.refusal is not None

    async def _ask(self, facts: Facts, phase: Phase, parameter: str) -> None:
        if self._chain.asks(phase):
            self._tell(Asked(facts.session, phase, parameter, await self._chain.decide(phase, facts, parameter)))


def _facts(event: events.LinkConnect) -> Facts:
    address, _, port = event.source.rpartition(":")
    local, _, _ = event.destination.rpartition(":")
    unix = event.source.startswith("unix:")
    return Facts(
        session=event.session,
        endpoint=event.endpoint,
        client_address="local" if unix else address.strip("[]"),
        client_port=int(port) if not unix and port.isdecimal() else 0,
        client_name=event.rdns,
        fcrdns=event.fcrdns,
        local_address="" if unix else local.strip("[]"),
    )


def _client(facts: Facts) -> str:
    """The parameter of phase connect, ``rdns|src``, as a live session gives it: an IPv6 address is in brackets."""
    address = facts.client_address
    return f"{facts.client_name}|{f'[{address}]' if ':' in address else address}"


def _parameter(phase: Phase, argument: str) -> str:
    """The parameter of a phase, of the rest of its command line: for MAIL and RCPT what stands between <>."""
    if phase in {"mail-from", "rcpt-to"}:
        return argument.partition("<")[2].rpartition(">")[0] if "<" in argument else argument
    return argument


def _learn(facts: Facts, event: Report) -> None:
    """Take what an event says of its session."""
    match event:
        case events.LinkGreeting(hostname=hostname):
            facts.hostname = hostname
        case events.LinkIdentify(method=method, identity=identity):
            facts.method, facts.helo = method, identity
        case events.LinkTls():
            facts.tls = event.fields()[0]
        case events.LinkAuth(result="pass", username=username):
            facts.user = username
        case events.TxBegin(msgid=msgid):
            facts.msgid = msgid
        case events.TxMail(result="ok", address=address):
            facts.reverse_path = address
        case events.TxRcpt(result="ok", address=address):
            facts.recipients.append(address)
        case events.TxReset():
            facts.msgid, facts.reverse_path = None, None
            facts.recipients.clear()
