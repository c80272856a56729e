"""What a session is opened with."""

import ssl
from collections.abc import Callable

from msgspec import Struct

from paquebot_mta.config.service import DestinationLimits
from paquebot_mta.deliver.counts import Bound
from paquebot_mta.deliver.hops import NextHop, Route
from paquebot_mta.deliver.host_route import HostRoute
from paquebot_mta.deliver.settings import ClientSettings, Endpoint
from paquebot_mta.mail.ids import SessionId
from paquebot_mta.telemetry.bus import Emit


class Plan(Struct, frozen=True):
    """Who and how, and whom to tell."""

    new_id: Callable[[], SessionId]
    route: Route
    endpoint: Endpoint
    settings: ClientSettings
    context: Callable[[], ssl.SSLContext]
    emit: Emit
    monotonic: Callable[[], float]
    destination: DestinationLimits | None = None

    @property
    def messages_per_session(self) -> int:
        """How many messages one connection may carry."""
        own = self.destination.messages_per_session if self.destination is not None else None
        return own or self.settings.limits.messages_per_session


class Target(Struct, frozen=True, eq=False):
    """A next hop and the address to reach it from.

    Attributes:
        source: our address, empty for the system's choice.
        bounds: of connections that this one counts towards.
    """

    hop: NextHop
    source: str
    route: HostRoute
    bounds: tuple[Bound, ...]


def describe(hop: NextHop) -> str:
    """Name a hop as logs do: ``192.0.2.1 (mx.example.org)``."""
    return f"{hop.address} ({hop.name})" if hop.name else hop.address
