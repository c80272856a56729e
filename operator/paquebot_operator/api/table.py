"""Table: lookup data with a back end."""

from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from paquebot_operator.api.common import NO_CONTROL, KeyRef, ObjectMeta, Status, Text
from paquebot_operator.api.validation import ApiValue, Rule, exactly_one, unique

Service = Literal[
    "alias", "domain", "credentials", "netaddr", "userinfo", "source", "mailaddr", "addrname",
    "mailaddrmap", "relayhost", "string", "regex",
]  # fmt: skip


class Entry(ApiValue, frozen=True, kw_only=True):
    """A key and its value."""

    key: Annotated[Text, Meta(description="What is looked up.")]
    value: Annotated[str, Meta(max_length=4096, pattern=NO_CONTROL, description="What is found.")]


class Inline(ApiValue, frozen=True, kw_only=True):
    """Data that stands in the Table itself."""

    validations = (
        unique("entries", "key"),
        Rule(
            cel="self.keys.size() == 0 || self.entries.size() == 0",
            message="set keys (a list) or entries (a mapping), not both",
            holds=lambda inline: not (inline.keys and inline.entries),
        ),
    )

    keys: Annotated[tuple[Text, ...], Meta(max_length=5_000, description="A list of keys.")] = ()
    entries: Annotated[tuple[Entry, ...], Meta(max_length=5_000, description="A mapping.")] = ()


class TableSpec(ApiValue, frozen=True, kw_only=True):
    """Lookup data and its back end: exactly one."""

    validations = (
        exactly_one("inline", "configMapRef", "secretRef", attributes=("inline", "config_map_ref", "secret_ref")),
    )

    services: Annotated[tuple[Service, ...], Meta(min_length=1, max_length=12, description="What it may be asked for.")]
    match_mode: Annotated[
        Literal["Exact", "Wildcard", "Regex", "Network"], Meta(description="How keys are compared.")
    ] = "Exact"
    inline: Annotated[Inline | None, Meta(description="The data itself.")] = None
    config_map_ref: Annotated[KeyRef | None, Meta(description="A ConfigMap's text: a key and value a line.")] = None
    secret_ref: Annotated[KeyRef | None, Meta(description="A Secret's text: a key and value a line.")] = None


class Table(ApiValue, frozen=True, kw_only=True):
    """Data that is looked up: aliases, mailboxes, credentials, networks and the like.

    They stand in the Table itself, or in a ConfigMap or Secret that it names; a change is in force within seconds.
    """

    plural: ClassVar[str] = "tables"

    api_version: Literal["paquebot.dev/v1alpha1"]
    kind: Literal["Table"]
    metadata: ObjectMeta
    spec: Annotated[TableSpec, Meta(description="What is wanted.")]
    status: Status = None
