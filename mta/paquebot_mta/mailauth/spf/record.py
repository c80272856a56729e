"""SPF records: one strict parser of their grammar (RFC 7208, 4.5, 4.6, 12)."""

import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final, Literal

from msgspec import Struct

from paquebot_mta.mailauth.spf.macro import MacroString, check_macros, parse_domain_spec
from paquebot_mta.mailauth.spf.values import Result, SpfSyntaxError

MechanismKind = Literal["all", "include", "a", "mx", "ptr", "exists", "ip4", "ip6"]

_QUALIFIERS: Final[dict[str, Result]] = {"": "pass", "+": "pass", "-": "fail", "~": "softfail", "?": "neutral"}
_VERSION: Final = re.compile(r"v=spf1(?: |$)", re.IGNORECASE)
_MODIFIER: Final = re.compile(r"([a-z][a-z0-9_.-]*)=(.*)", re.IGNORECASE | re.DOTALL)
_MECHANISM: Final = re.compile(
    r"([+~?-]?)(all|include|a|mx|ptr|exists|ip4|ip6)((?:[:/].*)?)", re.IGNORECASE | re.DOTALL
)
_CIDR: Final = re.compile(r"(.*?)(?:/(0|[1-9][0-9]?))?(?://(0|[1-9][0-9]{0,2}))?", re.DOTALL)


class Mechanism(Struct, frozen=True):
    """One directive.

    Attributes:
        result: what its match makes the check.
        domain: None for the current one. network: of ``ip4`` and ``ip6``.
        length4, length6: of the prefixes that ``a`` and ``mx`` compare.
    """

    kind: MechanismKind
    text: str
    result: Result
    domain: MacroString | None = None
    network: IPv4Network | IPv6Network | None = None
    length4: int = 32
    length6: int = 128


class Record(Struct, frozen=True):
    """A policy."""

    mechanisms: tuple[Mechanism, ...] = ()
    redirect: MacroString | None = None
    explanation: MacroString | None = None


def is_spf(text: str) -> bool:
    """Whether a TXT record is one of SPF's (RFC 7208, 4.5)."""
    return _VERSION.match(text) is not None


def parse_record(text: str) -> Record:
    """Read a record.

    Raises:
        SpfSyntaxError: it breaks the grammar anywhere.
    """
    if not text.isascii():
        raise SpfSyntaxError("the record is not ASCII")
    mechanisms: list[Mechanism] = []
    modifiers: dict[str, MacroString] = {}
    for term in text[len("v=spf1") :].split(" "):
        modifier = _MODIFIER.fullmatch(term)
        if modifier is not None:
            _take_modifier(modifier[1].lower(), modifier[2], modifiers)
        elif term:
            mechanisms.append(_parse_mechanism(term))
    return Record(tuple(mechanisms), modifiers.get("redirect"), modifiers.get("exp"))


def _take_modifier(name: str, value: str, modifiers: dict[str, MacroString]) -> None:
    if name not in {"redirect", "exp"}:
        check_macros(value)
    elif name in modifiers:
        raise SpfSyntaxError(f"{name} is there twice")
    else:
        modifiers[name] = parse_domain_spec(value)


def _parse_mechanism(term: str) -> Mechanism:
    found = _MECHANISM.fullmatch(term)
    if found is None:
        raise SpfSyntaxError(f"unknown mechanism: {term}")
    result = _QUALIFIERS[found[1]]
    kind: MechanismKind = found[2].lower()  # type: ignore[assignment]  # one of those that the expression names
    rest = found[3]
    if kind == "all":
        if rest:
            raise SpfSyntaxError("all takes nothing")
        return Mechanism(kind, term, result)
    if kind in {"ip4", "ip6"}:
        return Mechanism(kind, term, result, network=_parse_network(kind, rest))
    if kind in {"a", "mx"}:
        return _with_lengths(kind, term, result, rest)
    if not rest and kind == "ptr":
        return Mechanism(kind, term, result)
    return Mechanism(kind, term, result, _domain(rest))


def _domain(rest: str) -> MacroString:
    if rest[:1] != ":":
        raise SpfSyntaxError("a domain is missing")
    return parse_domain_spec(rest[1:])


def _with_lengths(kind: MechanismKind, term: str, result: Result, rest: str) -> Mechanism:
    found = _CIDR.fullmatch(rest)
    assert found is not None  # it matches anything
    domain = _domain(found[1]) if found[1] else None
    length4, length6 = int(found[2] or 32), int(found[3] or 128)
    if (found[2] and length4 > 32) or length6 > 128:
        raise SpfSyntaxError(f"no such prefix length: {term}")
    return Mechanism(kind, term, result, domain, None, length4, length6)


def _parse_network(kind: MechanismKind, rest: str) -> IPv4Network | IPv6Network:
    address, slash, length = rest[1:].partition("/")
    if rest[:1] != ":" or "%" in address or (slash and not re.fullmatch(r"0|[1-9][0-9]{0,2}", length)):
        raise SpfSyntaxError(f"not a network: {kind}{rest}")
    try:
        if kind == "ip4":
            return IPv4Network((IPv4Address(address), int(length or 32)), strict=False)
        return IPv6Network((IPv6Address(address), int(length or 128)), strict=False)
    except ValueError as error:
        raise SpfSyntaxError(f"not a network: {kind}{rest}") from error
