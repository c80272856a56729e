"""Hands tasks to the pool of outbound sessions: adds to a route what its action says (name, sources, AUTH, TLS)."""

from collections.abc import Callable
from ipaddress import ip_address

from paquebot_mta.config.actions import Lmtp, Relay
from paquebot_mta.deliver.pool import RelayPool
from paquebot_mta.deliver.settings import Endpoint
from paquebot_mta.deliver.transport import Receipt, Task
from paquebot_mta.dispatch.courier import same_for_all
from paquebot_mta.dispatch.groups import Group
from paquebot_mta.mail.outcome import Deferred
from paquebot_mta.mail.reply import Reply
from paquebot_mta.route.hops import Route
from paquebot_mta.service.live import Live
from paquebot_mta.table.lookup import Table, TableError

NO_CREDENTIALS = Deferred(Reply(451, "Credentials for the next hop can't be found", "4.3.5"))
NO_SOURCES = Deferred(Reply(451, "Source addresses for the next hop can't be found", "4.3.5"))


class _UnusableError(Exception):
    """Our configuration or a table of ours is at fault; ``outcome`` defers the mail."""

    def __init__(self, outcome: Deferred) -> None:
        """Keep what becomes of the mail."""
        super().__init__(outcome.reply.text)
        self.outcome = outcome


class RelayDesk:
    """Implements ``dispatch.courier.Relays``."""

    def __init__(self, pool: RelayPool, live: Callable[[], Live]) -> None:
        """``live`` gives the configuration in force."""
        self._pool = pool
        self._live = live

    async def relay(self, route: Route, group: Group, task: Task) -> Receipt:
        """Try the route's hops once."""
        action = group.action
        remote = (action.relay or action.lmtp) if action is not None else None
        assert remote is not None, "only relay and LMTP actions have routes"
        try:
            endpoint = await self._endpoint(group.destination.action_name, remote, route)
        except _UnusableError as error:
            return same_for_all(task, error.outcome)
        return await self._pool.deliver(route, endpoint, task)

    async def _endpoint(self, name: str, remote: Relay | Lmtp, route: Route) -> Endpoint:
        """What the action adds; TLS is the route's, for its destination may have a policy of its own.

        Raises:
            _UnusableError: credentials or sources can't be found.
        """
        live = self._live()
        context = live.contexts.get(route.tls)
        if isinstance(remote, Lmtp):
            return Endpoint(name=name, ssl_context=context, recipient=remote.recipient)
        return Endpoint(
            name=name,
            helo=remote.helo or live.config.service.outbound.helo,
            helo_names=self._table(remote.helo_names),
            credentials=await self._credentials(remote),
            sources=await self._sources(remote.source),
            ssl_context=context,
        )

    def _table(self, name: str) -> Table | None:
        return self._live().tables.get(name) if name else None

    async def _credentials(self, remote: Relay) -> tuple[str, str] | None:
        """Look up ``user:password`` by the action's label."""
        if remote.auth is None:
            return None
        table = self._table(remote.auth.credentials)
        try:
            value = await table.lookup("credentials", remote.auth.label) if table is not None else None
        except TableError as error:
            raise _UnusableError(NO_CREDENTIALS) from error
        user, separator, password = (value or "").partition(":")
        if not separator:
            raise _UnusableError(NO_CREDENTIALS)
        return user, password

    async def _sources(self, table_name: str) -> tuple[str, ...]:
        """Fetch our addresses; one that is not an address is passed over."""
        if (table := self._table(table_name)) is None:
            return ()
        try:
            found = await table.fetch("source")
        except TableError as error:
            raise _UnusableError(NO_SOURCES) from error
        sources = tuple(filter(None, map(_address, found)))
        if not sources:
            raise _UnusableError(NO_SOURCES)
        return sources


def _address(text: str) -> str:
    """Spell an address as sockets do; empty if it is none."""
    try:
        return str(ip_address(text.strip("[]")))
    except ValueError:
        return ""
