"""Lookup data. Keys are folded to lower case, but for credentials and regular expressions."""

from typing import Literal

from msgspec import field

from paquebot_mta.config.base import Value

Service = Literal[
    "alias", "domain", "credentials", "netaddr", "userinfo", "source", "mailaddr", "addrname",
    "mailaddrmap", "relayhost", "string", "regex", "auth",
]  # fmt: skip


class Inline(Value, frozen=True, kw_only=True):
    """Data that stands in the configuration: a list of keys, or a mapping, or both."""

    keys: tuple[str, ...] = ()
    entries: dict[str, str] = field(default_factory=dict)


class Table(Value, frozen=True, kw_only=True):
    """A table and its back end; exactly one back end is set (others follow).

    Attributes:
        services: what it may be asked for.
        match_mode: how keys are compared: as a whole, with ``*`` for one label, as regular expressions, or as networks.
        inline: the data itself.
    """

    services: tuple[Service, ...]
    match_mode: Literal["Exact", "Wildcard", "Regex", "Network"] = "Exact"
    inline: Inline | None = None
