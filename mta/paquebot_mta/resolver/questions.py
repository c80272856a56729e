"""What the rest of the MTA may ask of DNS."""

from typing import Literal, Protocol

from msgspec import Struct

Status = Literal["ok", "nxdomain", "nodata", "servfail", "timeout", "error"]
RdType = Literal["A", "AAAA", "MX", "PTR", "TXT", "CNAME", "TLSA"]


class Answer(Struct, frozen=True):
    """Records of one type, CNAMEs followed.

    Attributes:
        records: addresses as text, names in lower case without the final dot; MX as ``(preference, name)`` in ``mx``
            (the root, of a null MX, is empty); TXT with its strings joined, octets as Latin-1.
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

    async def ask(self, name: str, rdtype: RdType) -> Answer:
        """Ask for one name and type."""
