"""What a relay is told once, and what it tells about itself."""

import ssl
from typing import Literal

from msgspec import Struct

from paquebot_mta.config.service import OutboundLimits, OutboundTimeouts


class ClientSettings(Struct, frozen=True):
    """Settings of all outbound sessions.

    Attributes:
        limits, timeouts: bounds on connections and batches, deadlines in seconds.
        hostname: our name in EHLO unless the endpoint says otherwise.
    """

    limits: OutboundLimits
    timeouts: OutboundTimeouts
    hostname: str


class Endpoint(Struct, frozen=True):
    """What an action adds to a route; tasks share connections only if it is equal.

    Attributes:
        name: of the action; the endpoint in reports and metrics.
        helo: our name in EHLO, empty for the settings' host name.
        credentials: user name and password for AUTH.
        source: our IP address to connect from, empty for the system's choice.
        ssl_context: for STARTTLS and implicit TLS; None for one made of the route's policy.
        recipient: what RCPT names: the destination address, or the mailbox user (LMTP servers that know users only).
    """

    name: str
    helo: str = ""
    credentials: tuple[str, str] | None = None
    source: str = ""
    ssl_context: ssl.SSLContext | None = None
    recipient: Literal["Address", "User"] = "Address"


class RouteInfo(Struct, frozen=True):
    """One route as ``show routes`` lists it.

    Attributes:
        id: counts up from the start of the process; key: the route's.
        next_hop: ``192.0.2.1 (mx.example.org)`` of the best next hop.
        connections: open ones; queued: tasks that wait for one.
        state: ``new`` until a connection proved it, then ``ok``.
        penalty: of failed connections; errors: connections that failed.
    """

    id: int
    key: str
    endpoint: str
    next_hop: str
    connections: int
    queued: int
    state: Literal["new", "ok"]
    penalty: int = 0
    errors: int = 0
