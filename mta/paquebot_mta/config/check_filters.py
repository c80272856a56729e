"""Checks of filters: what a phase knows, what an action may do in it, and where names lead."""

import ipaddress
import re
from collections.abc import Iterator, Mapping
from typing import Final, get_args
from urllib.parse import urlsplit

from paquebot_mta.config.check_keys import MatchMode, key_faults
from paquebot_mta.config.check_tables import Names
from paquebot_mta.config.filters import (
    Builtin,
    Chain,
    Criterion,
    Dnsbl,
    Filter,
    FilterAction,
    Greylist,
    Kind,
    Milter,
    Phase,
    Process,
    Rspamd,
    SenderScore,
)
from paquebot_mta.config.tables import Service

PHASES: Final[tuple[Phase, ...]] = get_args(Phase)
SERVICES: Final[Mapping[str, Service]] = {
    "rdns": "domain", "src": "netaddr", "helo": "domain", "auth": "string", "mail-from": "mailaddr",
    "rcpt-to": "mailaddr",
}  # fmt: skip
"""Which service of a table answers a criterion."""
REWRITABLE: Final[frozenset[Phase]] = frozenset({"helo", "ehlo", "auth", "mail-from", "rcpt-to", "noop"})
_JOINS: Final = frozenset({"all", "any", "not"})
_BEFORE: Final[Mapping[str, frozenset[Phase]]] = {
    "helo": frozenset({"connect"}),
    "auth": frozenset({"connect", "helo", "ehlo", "starttls", "auth"}),
    "mail-from": frozenset({"connect", "helo", "ehlo", "starttls", "auth"}),
    "rcpt-to": frozenset(PHASES) - {"rcpt-to"},
}
"""Phases that don't know yet what a criterion looks at, or don't know which one."""
_STATUS: Final = re.compile(r"[245]\.[0-9]{1,3}\.[0-9]{1,3}")
_ADDRESS: Final = re.compile(r"unix:/[^\0]+|(?:\[[0-9A-Fa-f:.]+\]|[^\s:/\[\]]+):(?P<port>[0-9]{1,5})")
_LISTED: Final = ipaddress.IPv4Network("127.0.0.0/8")
_STORE: Final = re.compile(r"volume|memory|sqlite:/[!-~]+|rediss?://[!-~]+")


def check_filters(filters: Mapping[str, Filter], path: str, names: Names) -> None:
    """Check each filter by itself, and that chains lead to filters that are no chains."""
    for name, each in filters.items():
        where = f"{path}.{name}.kind"
        if isinstance(each.kind, Chain):
            names.filters(each.kind.filters, f"{where}.filters")
            for place, below in enumerate(each.kind.filters):
                nested = below in filters and isinstance(filters[below].kind, Chain)
                names.faults.check(that=not nested, path=f"{where}.filters[{place}]", reason="is a chain itself")
        else:
            _check_kind(each.kind, where, names)


def _check_kind(kind: Kind, path: str, names: Names) -> None:
    timeout = getattr(kind, "timeout_seconds", 1.0)
    names.faults.check(that=0 < timeout <= 3_600, path=f"{path}.timeoutSeconds", reason="not within 0 and 3600")
    for where, reason in _faults(kind, names, path):
        names.faults.add(f"{path}{where}", reason)


def _faults(kind: Kind, names: Names, path: str) -> Iterator[tuple[str, str]]:
    match kind:
        case Builtin():
            _check_criterion(kind.when, kind.phase, f"{path}.when", names)
            yield from _action_faults(kind.action, kind.phase)
        case Dnsbl():
            yield from _action_faults(kind.action, kind.phase)
            yield from _list_faults(kind)
        case Greylist():
            names.table(kind.allow, f"{path}.allow", "netaddr")
    for where, reason, right in _tests(kind):
        if not right:
            yield where, reason


def _tests(kind: Kind) -> tuple[tuple[str, str, bool], ...]:
    """What a kind promises of its fields: where, what is wrong otherwise, and whether it holds."""
    match kind:
        case Builtin():
            return ((".phase", "lines of content are for programs", kind.phase != "data-line"),)
        case Process():
            return (("", "exactly one of command and socket must be given", bool(kind.command) != bool(kind.socket)),)
        case Rspamd():
            return ((".url", "not an address of HTTP", kind.url.startswith(("http://", "https://"))),)
        case Greylist():
            right = _STORE.fullmatch(kind.store) is not None and _leads_somewhere(kind.store)
            return ((".store", "not volume, memory, sqlite:/PATH or redis://HOST:PORT/DB", right),)
        case Milter():
            found = _ADDRESS.fullmatch(kind.address)
            right = found is not None and 1 <= int(found["port"] or 1) <= 65_535
            return ((".address", "not host:port, [v6]:port or unix:/path", right),)
        case SenderScore():
            right = all(-1 <= limit <= 100 for limit in (kind.block_below, kind.junk_below))
            return (("", "a limit is not within -1 and 100", right),)
    return ()


def _list_faults(kind: Dnsbl) -> Iterator[tuple[str, str]]:
    if not kind.lists:
        yield ".lists", "at least one list must be given"
    for place, each in enumerate(kind.lists):
        for code in each.codes:
            if not _is_answer(code):
                yield f".lists[{place}].codes", f"entry {code!r}: not an address or a network in 127.0.0.0/8"


def _is_answer(code: str) -> bool:
    try:
        return ipaddress.IPv4Network(code, strict=False).subnet_of(_LISTED)
    except ValueError:
        return False


def _leads_somewhere(store: str) -> bool:
    """Whether the address of a store in Redis has a host, and a port that is one."""
    if not store.startswith("redis"):
        return True
    try:
        parts = urlsplit(store)
        return bool(parts.hostname) and (parts.port is None or parts.port >= 0)
    except ValueError:
        return False


def _action_faults(action: FilterAction, phase: Phase) -> Iterator[tuple[str, str]]:
    if phase == "commit" and action.kind in {"junk", "bypass"}:
        yield ".action.kind", f"{action.kind} comes too late in phase commit"
    if action.kind == "rewrite" and (phase not in REWRITABLE or not action.value):
        yield ".action", "rewrite wants a phase with a parameter, and a value"
    if action.kind in {"reject", "disconnect"} and not 400 <= action.code <= 599:
        yield ".action.code", "must be 400 to 599"
    if action.kind in {"reject", "disconnect"} and action.status and not _STATUS.fullmatch(action.status):
        yield ".action.status", "not an enhanced status code"
    if not (action.text.isprintable() and action.value.isprintable()):
        yield ".action", "has control characters"


def _check_criterion(criterion: Criterion, phase: Phase, path: str, names: Names) -> None:
    if criterion.kind in _JOINS:
        single = criterion.kind != "not" or len(criterion.items) == 1
        names.faults.check(that=single, path=f"{path}.items", reason="not wants one criterion")
        for place, item in enumerate(criterion.items):
            _check_criterion(item, phase, f"{path}.items[{place}]", names)
        return
    known = phase not in _BEFORE.get(criterion.kind, frozenset())
    names.faults.check(that=known, path=f"{path}.kind", reason=f"{criterion.kind} is not known in phase {phase}")
    if criterion.kind in SERVICES:
        names.table(criterion.table, f"{path}.table", SERVICES[criterion.kind])
    given = bool(criterion.values) + bool(criterion.table)
    optional = criterion.kind in {"fcrdns", "rdns", "auth"}
    right = given == 1 or (given == 0 and optional)
    names.faults.check(that=right, path=path, reason="exactly one of values and table must be given")
    if criterion.kind in SERVICES:
        mode: MatchMode = "Regex" if criterion.regex else "Wildcard"
        for place, reason in key_faults(criterion.values, (SERVICES[criterion.kind],), mode):
            names.faults.add(f"{path}.values[{place}]", f"entry {criterion.values[place]!r}: {reason}")
