"""The filter: who is a stranger, and when it may come in.

A client is known by the domain of the reverse path where it passes SPF for it (large senders try again from another
address), else by its network. A stranger's recipient and reverse path are remembered with it; if they come again after
the delay and before they are forgotten, the client is known, for all recipients. Whom our users write to is no
stranger. Users who are authenticated and local programs never have to wait. What strangers try takes little room: of
one session so much is remembered, and the store is bounded.
"""

import asyncio
from hashlib import blake2b
from ipaddress import IPv4Address, IPv6Address, ip_network
from typing import Final

from paquebot_mta.config.filters import Greylist, Kind, Phase
from paquebot_mta.filter.contract import Facts, FilterError
from paquebot_mta.filter.decisions import PROCEED, Decision, Disconnect, Reject
from paquebot_mta.filter.greylist.open_store import open_store
from paquebot_mta.filter.greylist.store import TRIES, Store, StoreError
from paquebot_mta.filter.tools import Places, Tools
from paquebot_mta.filter.watch import WatchedFilter
from paquebot_mta.mail.ids import SessionId
from paquebot_mta.mail.outcome import Delivered
from paquebot_mta.mail.reply import Reply
from paquebot_mta.mailauth.spf import Result, check_spf
from paquebot_mta.table.lookup import TableError
from paquebot_mta.table.networks import parse_ip
from paquebot_mta.telemetry.bus import Handler
from paquebot_mta.telemetry.events import DeliveryAttempt

NETWORK4: Final = 24
NETWORK6: Final = 64
"""Prefix lengths of one client's network (RFC 6647, 5)."""
SPF_SECONDS: Final = 5.0
_RENEWALS: Final = 16
"""A client that is known is renewed when this part of the time has passed, not at each message."""
KNOWN_SECONDS: Final = 600
"""So long a client that the store knows isn't looked up again: most mail comes from such, and the store may be far."""
MAX_KNOWN: Final = 50_000
MAX_TRIES: Final = 100
"""So many recipients of a session are told to wait, as many as a message may have (RFC 5321, 4.5.3.1.8)."""
ENOUGH: Final = Reply(421, "Too many greylisted recipients, please come back later", "4.7.1")
_MAX_WRITES: Final = 1_000
"""Correspondents that wait to be written down; more at once are let go."""


class GreylistFilter(WatchedFilter):
    """Decides at RCPT (RFC 6647, 2.4); listens to deliveries to learn whom our users write to."""

    shared = True

    def __init__(self, name: str, config: Greylist, tools: Tools, store: Store) -> None:
        """Take the store, which is closed with the filter."""
        super().__init__(name, frozenset({"rcpt-to"}), self._look, tools.bus.emit)
        self._config = config
        self._tools = tools
        self._store = store
        self._known: dict[str, int] = {}
        self._tries: dict[SessionId, int] = {}
        self._writes: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Begin to listen, and to watch the store."""
        await super().start()
        self._tools.bus.subscribe(self)

    async def close(self) -> None:
        """Stop listening, and write down what is left."""
        await super().close()
        self._tools.bus.unsubscribe(self)
        await asyncio.gather(*self._writes, return_exceptions=True)
        await self._store.close()

    async def decide(self, phase: Phase, facts: Facts, parameter: str) -> Decision:
        """Let in who is known, and tell others when to come back."""
        try:
            address = parse_ip(facts.client_address)
        except ValueError:
            return PROCEED
        if facts.user:
            return PROCEED
        try:
            if await self._is_allowed(facts.client_address):
                return PROCEED
            decision = await self._greet(address, facts, parameter.lower())
        except (StoreError, TableError) as error:
            self._watch.doubt()
            raise FilterError(str(error), "table") from error
        self._watch.heard()
        return decision

    def forget(self, session: SessionId) -> None:
        """Its strangers may try again in another one."""
        self._tries.pop(session, None)

    async def _look(self) -> None:
        """Find out whether the store answers."""
        try:
            await self._store.find("", int(self._tools.wall_clock()))
        except StoreError as error:
            raise FilterError(str(error), "table") from error

    async def _is_allowed(self, address: str) -> bool:
        table = self._tools.tables().get(self._config.allow) if self._config.allow else None
        return table is not None and await table.check("netaddr", address)

    async def _greet(self, address: IPv4Address | IPv6Address, facts: Facts, recipient: str) -> Decision:
        """Let in who is known; of others remember the try, unless there were so many that it is no mail."""
        now = int(self._tools.wall_clock())
        sender = (facts.reverse_path or "").lower()
        spf = await self._spf(facts, sender)
        client = _client_key(address, sender, facts.helo, spf)
        if await self._is_known(client, now):
            return PROCEED
        if spf != "fail" and sender and await self._store.find(_correspondent_key(sender), now) is not None:
            return PROCEED
        if self._tries.get(facts.session, 0) >= MAX_TRIES:
            return Disconnect(ENOUGH)
        first = await self._store.first_seen(_try_key(client, sender, recipient), now, self._config.retry_seconds)
        if (left := first + self._config.delay_seconds - now) > 0:
            self._tries[facts.session] = self._tries.get(facts.session, 0) + 1
            return Reject(_come_back(left))
        await self._store.renew(client, now, self._config.pass_seconds)
        return PROCEED

    async def _spf(self, facts: Facts, sender: str) -> Result:
        if not self._config.spf:
            return "none"
        found = await check_spf(
            self._tools.resolver(),
            client_address=facts.client_address,
            reverse_path=sender,
            helo=facts.helo,
            timeout_seconds=SPF_SECONDS,
            now=self._tools.wall_clock,
        )
        return found.result

    async def _is_known(self, client: str, now: int) -> bool:
        if now < self._known.get(client, 0):
            return True
        at, renewal_seconds = await self._store.find(client, now), self._config.pass_seconds // _RENEWALS
        if at is None:
            return False
        if now - at >= renewal_seconds:
            await self._store.renew(client, now, self._config.pass_seconds)
        if len(self._known) >= MAX_KNOWN:
            self._known.clear()
        self._known[client] = now + min(KNOWN_SECONDS, renewal_seconds)
        return True

    def handler_of(self, kind: type) -> Handler | None:
        """Choose the deliveries (implements ``Chooser``)."""
        return self._learn if kind is DeliveryAttempt else None

    def _learn(self, event: DeliveryAttempt) -> None:
        """Remember whom our users write to: their address, and their domain for those who pass its SPF.

        Mail of strangers is relayed, too: to where a domain that we host is delivered, or as an alias says.
        """
        if event.sender == "stranger" or event.hosted or not event.reverse_path:
            return
        if event.transport != "relay" or not isinstance(event.outcome, Delivered):
            return
        if len(self._writes) < _MAX_WRITES:
            task = asyncio.get_running_loop().create_task(self._remember(event.recipient.lower()))
            self._writes.add(task)
            task.add_done_callback(self._writes.discard)

    async def _remember(self, recipient: str) -> None:
        now, keep_seconds = int(self._tools.wall_clock()), self._config.pass_seconds
        try:
            await self._store.renew(_correspondent_key(recipient), now, keep_seconds)
            if self._config.spf:
                await self._store.renew(_domain_key(recipient.rpartition("@")[2]), now, keep_seconds)
        except StoreError:
            return  # a correspondent who has to wait once is no reason to stop anything


def _client_key(address: IPv4Address | IPv6Address, sender: str, helo: str, spf: Result) -> str:
    if spf == "pass":
        return _domain_key((sender.rpartition("@")[2] or helo).lower())
    return f"net:{ip_network((address, NETWORK4 if address.version == 4 else NETWORK6), strict=False)}"


def _domain_key(domain: str) -> str:
    return f"domain:{domain}"


def _correspondent_key(address: str) -> str:
    return f"to:{address}"


def _try_key(client: str, sender: str, recipient: str) -> str:
    """All are of one length: strangers must not decide what room they take."""
    return TRIES + blake2b(f"{client}:{sender}:{recipient}".encode(), digest_size=16).hexdigest()


def _come_back(wait_seconds: int) -> Reply:
    return Reply(451, f"Greylisted, please come back in {wait_seconds} seconds", "4.7.1")


def build_greylist(name: str, kind: Kind, places: Places, tools: Tools) -> GreylistFilter:
    """Make one (implements ``Maker``); raises ValueError if the store can't be used."""
    assert isinstance(kind, Greylist)
    store = open_store(kind.store, tools.folder, name=name, password=kind.password)
    return GreylistFilter(name, kind, tools, store)
