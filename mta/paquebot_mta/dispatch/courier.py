"""Carries one transaction: finds the transport for its action, and the route if it needs one."""

from collections.abc import Callable, Mapping
from typing import Protocol

from paquebot_mta.config.actions import Action, Lmtp, Relay
from paquebot_mta.deliver.transport import Receipt, Task, Transport
from paquebot_mta.dispatch.groups import Group
from paquebot_mta.mail.ids import Evpid
from paquebot_mta.mail.outcome import Deferred, Failed, Outcome
from paquebot_mta.mail.reply import Reply
from paquebot_mta.route.hops import Route

NOT_CONFIGURED = Deferred(Reply(451, "Delivery action is not configured", "4.3.5"))


class Routes(Protocol):
    """Finds the next hops of a domain."""

    async def route(self, action: Relay | Lmtp, domain: str) -> Route | Deferred | Failed:
        """Answer a route, or why there is none."""


class Relays(Protocol):
    """Hands tasks to next hops."""

    async def relay(self, route: Route, group: Group, task: Task) -> Receipt:
        """Try the route's hops once."""


class Courier:
    """Knows a transport for every kind of action."""

    def __init__(self, *, routes: Routes, relays: Relays, local: Callable[[Action], Transport]) -> None:
        """``local`` makes the transport of a maildir, mbox or discard action; it is made once for each action."""
        self._routes = routes
        self._relays = relays
        self._local = local
        self._transports: dict[Action, Transport] = {}

    async def deliver(self, group: Group, task: Task) -> Receipt:
        """Try the group's transaction once."""
        action = group.action
        if action is None:
            return same_for_all(task, NOT_CONFIGURED)
        if (remote := action.relay or action.lmtp) is None:
            return await self._transport(action).deliver(task)
        route = await self._routes.route(remote, group.destination.domain)
        if isinstance(route, Route):
            return await self._relays.relay(route, group, task)
        return same_for_all(task, route)

    def _transport(self, action: Action) -> Transport:
        """The local transport of an action, kept while its configuration stays the same."""
        if (transport := self._transports.get(action)) is None:
            transport = self._transports[action] = self._local(action)
        return transport


def same_for_all(task: Task, outcome: Outcome) -> Receipt:
    """A receipt with one outcome for every envelope."""
    outcomes: Mapping[Evpid, Outcome] = {envelope.evpid: outcome for envelope in task.envelopes}
    return Receipt(outcomes)
