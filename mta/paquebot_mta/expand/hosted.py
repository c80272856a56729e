"""One hosted domain: what a local-part of it stands for. Does not follow targets: that is the expander's."""

from collections.abc import Mapping

from msgspec import Struct

from paquebot_mta.config.domains import Domain
from paquebot_mta.expand.criteria import named_table
from paquebot_mta.expand.targets import AliasTarget, parse_target, parse_value
from paquebot_mta.table.lookup import Table, TableError
from paquebot_mta.table.static import StaticTable


class Mailbox(Struct, frozen=True):
    """An existing mailbox of the domain, its name folded, and the sub-address without its delimiter."""

    user: str
    extension: str


class Alias(Struct, frozen=True):
    """An alias, and the sub-address that was not part of its name."""

    targets: tuple[AliasTarget, ...]
    extension: str


class HostedDomain:
    """A domain and its tables, ready to be asked.

    The order is OpenSMTPD's for virtual users: name with sub-address, name, and after the mailboxes what takes
    anything; the domain's own entries before its table's.

    Raises:
        ValueError: an alias or a table of the domain is wrong; the message names both.
    """

    def __init__(self, domain: Domain, tables: Mapping[str, Table]) -> None:
        self.name = domain.name
        self.config = domain
        try:
            self._alias_table = named_table(tables, domain.alias_table, "alias") if domain.alias_table else None
            self._mailbox_table = (
                named_table(tables, domain.mailbox_table, "userinfo") if domain.mailbox_table else None
            )
            self._aliases = {_alias_name(name): _parse_alias(name, texts) for name, texts in domain.aliases.items()}
            self._catch_all = _parse_alias("catch-all", domain.catch_all) if domain.catch_all else ()
            _check_values(self._alias_table)
        except ValueError as error:
            raise ValueError(f"domain {domain.name!r}: {error}") from error
        self._mailboxes = frozenset(name.lower() for name in domain.mailboxes)

    def split(self, local_part: str) -> tuple[str, str]:
        """Split at the delimiter: name and sub-address; a delimiter in front is part of the name."""
        end = local_part.find(self.config.delimiter, 1) if self.config.delimiter else -1
        return (local_part, "") if end < 0 else (local_part[:end], local_part[end + len(self.config.delimiter) :])

    async def find_alias(self, local_part: str) -> Alias | None:
        """Look for an alias, first with the sub-address, then without.

        Raises:
            TableError: the alias table gave no answer, or one that makes no sense.
        """
        name, extension = self.split(local_part)
        forms = tuple(dict.fromkeys(((local_part.lower(), ""), (name.lower(), extension))))
        for form, rest in forms:
            if (targets := self._aliases.get(form)) is not None:
                return Alias(targets, rest)
        qualified = [(f"{form}@{self.name}", rest) for form, rest in forms]
        # A name with "@" must not pass for somebody else's address.
        return await self._ask_alias_table([*qualified, *(pair for pair in forms if "@" not in pair[0])])

    async def find_catch_all(self) -> Alias | None:
        """Give what takes all that is neither alias nor mailbox; as ``find_alias``."""
        if self._catch_all:
            return Alias(self._catch_all, "")
        return await self._ask_alias_table([(f"@{self.name}", ""), ("@", "")])

    async def find_mailbox(self, local_part: str) -> Mailbox | None:
        """Look for a mailbox, by the whole local-part, then without its sub-address.

        Raises:
            TableError: the mailbox table gave no answer.
        """
        name, extension = self.split(local_part)
        candidates = dict.fromkeys((Mailbox(local_part.lower(), ""), Mailbox(name.lower(), extension)))
        for mailbox in candidates:
            if mailbox.user in self._mailboxes or await self._in_mailbox_table(mailbox.user):
                return mailbox
        return Mailbox(name.lower(), extension) if self.config.accept_any_mailbox else None

    async def _in_mailbox_table(self, user: str) -> bool:
        if self._mailbox_table is None:
            return False
        keys = (f"{user}@{self.name}", user) if "@" not in user else (f"{user}@{self.name}",)
        return any([await self._mailbox_table.check("userinfo", key) for key in keys])

    async def _ask_alias_table(self, keys: list[tuple[str, str]]) -> Alias | None:
        if self._alias_table is None:
            return None
        for key, extension in keys:
            value = await self._alias_table.lookup("alias", key)
            if value is not None:
                return Alias(_parse_answer(key, value), extension)
        return None


def _alias_name(name: str) -> str:
    if "@" in name:
        raise ValueError(f"alias {name!r}: a name is a local-part, without @domain")
    return name.lower()


def _parse_alias(name: str, texts: tuple[str, ...]) -> tuple[AliasTarget, ...]:
    if not texts:
        raise ValueError(f"alias {name!r}: no target")
    try:
        return tuple(parse_target(text) for text in texts)
    except ValueError as error:
        raise ValueError(f"alias {name!r}: {error}") from error


def _check_values(table: Table | None) -> None:
    """Find wrong targets when the configuration is loaded, as far as the data is at hand."""
    entries = table.entries if isinstance(table, StaticTable) else {}
    for key, value in entries.items():
        try:
            parse_value(value)
        except ValueError as error:
            raise ValueError(f"alias {key!r}: {error}") from error


def _parse_answer(key: str, value: str) -> tuple[AliasTarget, ...]:
    try:
        return parse_value(value)
    except ValueError as error:
        raise TableError(f"alias {key!r}: {error}") from error
