"""Values of routing: where a destination's mail can be handed over, best first."""

from typing import Literal

from msgspec import Struct

from paquebot_mta.config.actions import ClientTls


class NextHop(Struct, frozen=True):
    """One address to try.

    Attributes:
        name: host name (for TLS and logs), the address itself where there is none; never in brackets.
        address: IP address text or ``/path`` of a unix socket; port: 0 for unix.
        preference: of its MX record, 0 for smarthosts.
    """

    name: str
    address: str
    port: int
    preference: int = 0


class Route(Struct, frozen=True):
    """An ordered list of next hops.

    Attributes:
        key: equal for destinations whose hops and policy are equal: they share connections.
        next_hops: in the order to try, IPv6 before IPv4 within a preference unless configured otherwise.
    """

    key: str
    next_hops: tuple[NextHop, ...]
    protocol: Literal["smtp", "lmtp"] = "smtp"
    tls: ClientTls = ClientTls()
    implicit_tls: bool = False
