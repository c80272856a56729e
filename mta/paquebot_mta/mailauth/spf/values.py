"""What a check of SPF gives, what it asks of DNS, and how it ends early."""

from collections.abc import Sequence
from typing import Literal, Protocol

from msgspec import Struct

Result = Literal["none", "neutral", "pass", "fail", "softfail", "temperror", "permerror"]
"""RFC 7208, 2.6."""


class SpfResult(Struct, frozen=True):
    """How a check ended.

    Attributes:
        domain: whose policy was asked: that of the reverse path, or of HELO for a null one.
        mechanism: the term that matched, as it is written; empty if none did.
        explanation: of a ``fail``, printable ASCII from whoever publishes the policy; empty without one.
        problem: why it is ``temperror`` or ``permerror``.
    """

    result: Result
    domain: str = ""
    mechanism: str = ""
    explanation: str = ""
    problem: str = ""


class DnsAnswer(Protocol):
    """An answer as the resolver gives it; ``status`` is ``ok``, ``nxdomain``, ``nodata`` or a fault."""

    @property
    def status(self) -> str:
        """How the question ended."""

    @property
    def records(self) -> Sequence[str]:
        """Addresses, names, or TXT records with their strings joined, octets as Latin-1."""

    @property
    def mx(self) -> Sequence[tuple[int, str]]:
        """Preference and name."""


class Dns(Protocol):
    """Whatever answers questions, with a deadline of its own."""

    async def ask(self, name: str, rdtype: Literal["A", "AAAA", "MX", "PTR", "TXT"]) -> DnsAnswer:
        """Ask for one name and type."""


class SpfError(Exception):
    """The check can't go on; ``result`` says how it ends."""

    result: Result = "permerror"


class SpfSyntaxError(SpfError):
    """A record, or a part of one, breaks the grammar (RFC 7208, 4.6)."""


class SpfLimitError(SpfError):
    """A policy costs more than is allowed (RFC 7208, 4.6.4)."""


class SpfDnsError(SpfError):
    """DNS gave no answer (RFC 7208, 2.6.6)."""

    result: Result = "temperror"
