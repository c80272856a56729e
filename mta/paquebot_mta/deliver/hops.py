"""What a relay needs to know of a route: read-only views, so that whoever finds routes need not be known here."""

from collections.abc import Sequence
from typing import Literal, Protocol

from paquebot_mta.config.actions import ClientTls


class NextHop(Protocol):
    """One address to try: ``address`` is an IP address, or ``/path`` of a unix socket with port 0."""

    @property
    def name(self) -> str:
        """Host name, for TLS and logs; the address itself, without brackets, where there is none."""

    @property
    def address(self) -> str:
        """Where to connect."""

    @property
    def port(self) -> int:
        """TCP port, 0 for a unix socket."""

    @property
    def preference(self) -> int:
        """Of its MX record; lower is better."""


class Route(Protocol):
    """Next hops in the order to try, and how to speak to them."""

    @property
    def key(self) -> str:
        """Equal for routes that may share connections."""

    @property
    def next_hops(self) -> Sequence[NextHop]:
        """At least one."""

    @property
    def protocol(self) -> Literal["smtp", "lmtp"]:
        """Which dialect is spoken."""

    @property
    def tls(self) -> ClientTls:
        """The policy."""

    @property
    def implicit_tls(self) -> bool:
        """TLS from the first byte."""
