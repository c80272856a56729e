"""Hands tasks to the pool of outbound sessions: adds to a route what the action says (EHLO name, AUTH, TLS)."""

from collections.abc import Callable

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
from paquebot_mta.table.lookup import TableError

NO_CREDENTIALS = Deferred(Reply(451, "Credentials for the next hop can't be found", "4.3.5"))


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
        endpoint = await self._endpoint(group.destination.action_name, remote)
        if endpoint is None:
            return same_for_all(task, NO_CREDENTIALS)
        return await self._pool.deliver(route, endpoint, task)

    async def _endpoint(self, name: str, remote: Relay | Lmtp) -> Endpoint | None:
        """What the action adds; None if its credentials can't be found."""
        live = self._live()
        context = live.contexts.get(remote.tls)
        if isinstance(remote, Lmtp):
            return Endpoint(name=name, ssl_context=context, recipient=remote.recipient)
        helo = remote.helo or live.config.service.outbound.helo
        if remote.auth is None:
            return Endpoint(name=name, helo=helo, ssl_context=context)
        credentials = await self._credentials(remote.auth.credentials, remote.auth.label)
        return credentials and Endpoint(name=name, helo=helo, ssl_context=context, credentials=credentials)

    async def _credentials(self, table_name: str, label: str) -> tuple[str, str] | None:
        """Look up ``user:password``."""
        table = self._live().tables.get(table_name)
        try:
            value = await table.lookup("credentials", label) if table is not None else None
        except TableError:
            return None
        user, separator, password = (value or "").partition(":")
        return (user, password) if separator else None
