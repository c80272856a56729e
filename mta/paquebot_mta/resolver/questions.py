"""What the rest of the MTA may ask of DNS."""

from typing import Literal, Protocol

from msgspec import Struct

Status = Literal["ok", "nxdomain", "nodata", "servfail", "timeout", "error"]


class Answer(Struct, frozen=True):
    """Records of one type, CNAMEs followed.

    Attributes:
        records: addresses as text, names in lower case without the final dot; MX as ``(preference, name)`` in ``mx``.
        ttl_seconds: how long it may be kept.
        authenticated: the AD bit of a resolver that is trusted to validate.
    """

    status: Status
    records: tuple[str, ...] = ()
    mx: tuple[tuple[int, str], ...] = ()
    ttl_seconds: int = 0
    authenticated: bool = False


class Resolver(Protocol):
    """Answers questions within its deadline; faults are a status, never an exception."""

    async def ask(self, name: str, rdtype: Literal["A", "AAAA", "MX", "PTR", "TXT", "CNAME", "TLSA"]) -> Answer:
        """Ask for one name and type."""
