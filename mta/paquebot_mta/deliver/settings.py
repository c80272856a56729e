"""What a relay is told once, and what it tells about itself."""

import ssl
from typing import Literal

from msgspec import Struct

from paquebot_mta.config.service import (
    DestinationLimits,
    OutboundDelays,
    OutboundLimits,
    OutboundTimeouts,
    Penalties,
)
from paquebot_mta.table.lookup import Table


class ClientSettings(Struct, frozen=True):
    """Settings of all outbound sessions.

    Attributes:
        limits, timeouts: bounds on connections and batches, deadlines in seconds.
        hostname: our name in EHLO unless the endpoint says otherwise.
        delays: between connections; penalties: of routes that fail.
        destinations: what holds for some domains.
    """

    limits: OutboundLimits
    timeouts: OutboundTimeouts
    hostname: str
    delays: OutboundDelays = OutboundDelays()
    penalties: Penalties = Penalties()
    destinations: tuple[DestinationLimits, ...] = ()


class Endpoint(Struct, frozen=True):
    """What an action adds to a route; tasks share connections only if it is equal.

    Attributes:
        name: of the action; the endpoint in reports and metrics.
        helo: our name in EHLO, empty for the settings' host name.
        helo_names: has our name for each of our addresses (service ``addrname``); stronger than ``helo``.
        credentials: user name and password for AUTH.
        sources: our IP addresses to connect from, empty for the system's choice.
        ssl_context: for STARTTLS and implicit TLS; None for one made of the route's policy.
        recipient: what RCPT names: the destination address, or the mailbox user (LMTP servers that know users only).
    """

    name: str
    helo: str = ""
    helo_names: Table | None = None
    credentials: tuple[str, str] | None = None
    sources: tuple[str, ...] = ()
    ssl_context: ssl.SSLContext | None = None
    recipient: Literal["Address", "User"] = "Address"


class RouteInfo(Struct, frozen=True):
    """One route as ``show routes`` lists it: from a source to an address, for an action.

    Attributes:
        id: 8 hex digits, the same in all processes; relay: the action's name.
        source: our address, empty for the system's choice; address, name: the next hop's.
        flags: new, disabled, queued for a change of its penalty, kept: ``ND--``.
        disabled: why it rests, if it does.
        connections: open ones; queued: tasks that wait and may take it.
        errors: connections that failed since it was last valid; last_error: what was said then.
        timeout_seconds: until its penalty is lowered; idle_seconds: since a connection was opened or closed.
    """

    id: str
    relay: str
    source: str
    address: str
    name: str
    flags: str
    disabled: Literal["net", "smtp"] | None
    connections: int
    queued: int
    penalty: int
    errors: int
    last_error: str
    timeout_seconds: float | None
    idle_seconds: float


class QueueInfo(Struct, frozen=True):
    """The tasks that go one way, and the connections that carry them.

    Attributes:
        key: the route's; relay: the action's name.
        connections: open and opening; ready: those that carry mail; queued: tasks that wait.
    """

    key: str
    relay: str
    connections: int
    ready: int
    queued: int
