"""The base of every value of the contract."""

from msgspec import Struct


class Value(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, rename="camel"):
    """A frozen value: camelCase on the wire, unknown fields refused, defaults left out."""
