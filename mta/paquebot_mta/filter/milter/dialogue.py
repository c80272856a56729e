"""What one milter is told of one session, in its order, whatever the order in which the chain asks.

A milter may be asked late (a domain's filter learns of a session at its recipients), or again (after a fault): whatever
it was not told by then is told first.
"""

from collections.abc import Callable
from ipaddress import IPv6Address
from typing import Final

from paquebot_mta.filter.contract import Changes, Content, Facts
from paquebot_mta.filter.decisions import JUNK, PROCEED, Decision
from paquebot_mta.filter.milter.connection import Connection
from paquebot_mta.filter.milter.macros import client_name, helo_macros, mail_macros, recipient_macros, session_macros
from paquebot_mta.filter.milter.message import tell_message
from paquebot_mta.filter.milter.replies import ACCEPT, CONTINUE, DISCARD, REFUSALS, SKIPPED, Modifications, refusal
from paquebot_mta.filter.milter.wire import MilterError, macros, packet, strings
from paquebot_mta.mail.ids import Msgid
from paquebot_mta.table.networks import parse_ip

BODY_GROWTH_BYTES: Final = 4_194_304
"""How much longer than the message a new body may be."""


class Dialogue:
    """One session's way through one milter. Calls never overlap; after an exception it can only be dropped.

    Args:
        hostname: ours.
        wall_clock: seconds since 1970.
    """

    def __init__(self, connection: Connection, hostname: str, wall_clock: Callable[[], float]) -> None:
        """Take a connection of which nothing was told yet."""
        self.connection = connection
        self._hostname = hostname
        self._wall_clock = wall_clock
        self._connected = False
        self._helo = ""
        self._refusal: Decision | None = None
        self._session_accepted = False
        self._in_message = False
        self._msgid: Msgid | None = None
        self._reverse_path = ""
        self._asked: set[str] = set()
        self._taken: set[str] = set()  # of those that were asked about, what it did not refuse
        self._ending = b""

    async def connect(self, facts: Facts) -> Decision:
        """Tell who is there, once; a refusal stays."""
        if self._connected:
            return self._refusal or PROCEED
        self._connected = True
        decision = await self._step(b"C", _connect_data(facts), session_macros(facts, self._hostname), whole=True)
        self._refusal = None if decision is PROCEED else decision
        return decision

    async def helo(self, facts: Facts, name: str) -> Decision:
        """Tell a name, unless it was told."""
        decision = await self.connect(facts)
        if decision is not PROCEED or not name or name == self._helo:
            return decision
        await self._abort()
        decision = await self._step(b"H", strings(name), helo_macros(facts), whole=True)
        self._helo = name if decision is PROCEED else ""
        return decision

    async def mail(self, facts: Facts, reverse_path: str) -> Decision:
        """Begin a message."""
        decision = await self.helo(facts, facts.helo)
        if decision is not PROCEED:
            return decision
        await self._abort()
        decision = await self._step(b"M", strings(f"<{reverse_path}>"), mail_macros(facts, self._wall_clock()))
        self._in_message, self._msgid, self._reverse_path = decision is PROCEED, facts.msgid, reverse_path
        self._asked.clear()
        self._taken.clear()
        return decision

    async def recipient(self, facts: Facts, address: str) -> Decision:
        """Tell one recipient; a message that it does not know yet is begun."""
        decision = await self._begun(facts)
        if decision is not PROCEED:
            return decision
        self._asked.add(address)
        decision = await self._step(b"R", strings(f"<{address}>"), recipient_macros(facts, address))
        if decision is PROCEED:
            self._taken.add(address)
        return decision

    async def data(self, facts: Facts) -> Decision:
        """Tell that content comes."""
        decision = await self._caught_up(facts)
        return decision if decision is not PROCEED else await self._step(b"T", b"", {"i": facts.msgid or ""})

    async def message(self, facts: Facts, content: Content) -> tuple[Decision, Changes]:
        """Tell the content, and hear what becomes of it; the message is over then."""
        decision = await self._caught_up(facts)
        if decision is PROCEED and not self._done:
            changes = Modifications(content.size + BODY_GROWTH_BYTES)
            told = {"i": facts.msgid or ""}
            letter, data = await tell_message(self.connection, content, told, changes.take)
            decision = self._decided(letter, data, whole=False)
        else:
            changes, letter = Modifications(0), b""
        discarded = self._ending == DISCARD
        if letter != CONTINUE:
            await self._abort()  # harmless where it has ended the message itself
        self._in_message = False
        if decision is PROCEED and changes.quarantined:
            decision = JUNK
        return decision, _changes(changes, facts, discarded=discarded)

    @property
    def _done(self) -> bool:
        """Nothing more is to be told of this message."""
        return self._session_accepted or bool(self._ending)

    async def _begun(self, facts: Facts) -> Decision:
        """Make sure that it knows this message: not one that was given up since, nor as it was before a rewrite."""
        reverse_path = facts.reverse_path or ""
        if self._in_message and self._msgid in {None, facts.msgid} and self._reverse_path == reverse_path:
            self._msgid = facts.msgid
            return PROCEED
        return await self.mail(facts, reverse_path)

    async def _caught_up(self, facts: Facts) -> Decision:
        """Make sure that it knows this message, all its recipients, and no other ones.

        It may have been asked about one that was refused after that: there is no such user, or a filter behind it or of
        its domain said so. It can't be told of that, so the message is begun once more.
        """
        decision = await self._begun(facts)
        if decision is PROCEED and not self._done and not self._taken.issubset(facts.recipients):
            decision = await self.mail(facts, facts.reverse_path or "")
        for recipient in facts.recipients:
            if decision is PROCEED and recipient not in self._asked:
                decision = await self.recipient(facts, recipient)
        return decision

    async def _abort(self) -> None:
        """Forget a message that was begun."""
        if self._in_message and not self._session_accepted:
            await self.connection.tell(packet(b"A"))
        self._in_message, self._ending = False, b""

    async def _step(self, letter: bytes, data: bytes, known: dict[str, str], *, whole: bool = False) -> Decision:
        """Tell one step, if it is wanted.

        Args:
            whole: an "accept" means the session, not only the message.
        """
        options = self.connection.options
        if self._done or not options.wants(letter):
            return PROCEED
        command = macros(letter, known) + packet(letter, data)
        if not options.answers(letter):
            await self.connection.tell(command)
            return PROCEED
        return self._decided(*await self.connection.ask(command), whole=whole)

    def _decided(self, letter: bytes, data: bytes, *, whole: bool) -> Decision:
        if letter in REFUSALS:
            return refusal(letter, data)
        if letter == SKIPPED:
            raise MilterError("it skips what is no body")
        if letter == ACCEPT and whole:
            self._session_accepted = True
        elif letter in {ACCEPT, DISCARD}:
            self._ending = letter
        return PROCEED


def _connect_data(facts: Facts) -> bytes:
    """Give name, family, port and address; programs of this machine are told as loopback."""
    if facts.client_address == "local":
        return strings("localhost") + b"4" + b"\0\0" + strings("127.0.0.1")
    address = parse_ip(facts.client_address)
    family = b"6" if isinstance(address, IPv6Address) else b"4"
    return strings(client_name(facts)) + family + facts.client_port.to_bytes(2, "big") + strings(str(address))


def _changes(found: Modifications, facts: Facts, *, discarded: bool) -> Changes:
    return Changes(
        prepend=found.prepend,
        edits=tuple(found.edits),
        body=None if found.body is None else bytes(found.body),
        reverse_path=found.reverse_path,
        add_recipients=() if discarded else tuple(found.added_recipients),
        remove_recipients=tuple(facts.recipients) if discarded else tuple(found.removed_recipients),
    )
