"""Hosted domains: a shard of the configuration each."""

from msgspec import field

from paquebot_mta.config.actions import Action
from paquebot_mta.config.base import Value
from paquebot_mta.config.tables import Table


class Domain(Value, frozen=True, kw_only=True):
    """One hosted domain.

    Attributes:
        name: A-label spelling, lower case.
        delivery: how its mailboxes are reached.
        mailboxes: local-parts that exist, folded to lower case; ``mailbox_table`` names a table (service
            ``userinfo``) of more.
        accept_any_mailbox: any local-part is a mailbox (the LMTP server decides).
        aliases: local-part (with or without a sub-address) -> targets: a mailbox, an address, or ``error:CODE text``.
            ``alias_table`` names a table (service ``alias``) of more.
        catch_all: targets for anything else.
        delimiter: separates the sub-address (``alice+news``); empty turns it off.
        filters: names of filters, in order, that are asked about this domain's recipients only.
    """

    name: str
    delivery: Action
    mailboxes: tuple[str, ...] = ()
    mailbox_table: str = ""
    accept_any_mailbox: bool = False
    aliases: dict[str, tuple[str, ...]] = field(default_factory=dict)
    alias_table: str = ""
    catch_all: tuple[str, ...] = ()
    delimiter: str = "+"
    filters: tuple[str, ...] = ()


class DomainShard(Value, frozen=True, kw_only=True):
    """The content of one domain shard."""

    domains: tuple[Domain, ...] = ()
    tables: dict[str, Table] = field(default_factory=dict)
