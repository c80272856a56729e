"""What a table promises, whatever its back end."""

from collections.abc import Sequence
from typing import Protocol

from paquebot_mta.config.tables import Service


class TableError(Exception):
    """The back end could not answer: a temporary fault (451), never "not found"."""


class Table(Protocol):
    """Lookup data for some services (smtpd-tables(7)). Deadlines are the back end's own."""

    async def check(self, service: Service, key: str) -> bool:
        """Whether the key is in the table (netaddr, domain, mailaddr, string, regex: by their own rules).

        Raises:
            TableError: no answer.
        """

    async def lookup(self, service: Service, key: str) -> str | None:
        """The value of a key, None if it has none.

        Raises:
            TableError: no answer.
        """

    async def fetch(self, service: Service) -> Sequence[str]:
        """All keys, for those who choose among them (source, relayhost).

        Raises:
            TableError: no answer.
        """
