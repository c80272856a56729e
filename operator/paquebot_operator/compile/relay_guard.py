"""No open relay by accident: which rules hand mail of strangers to strangers.

Judged on the compiled rule, each by itself: earlier rules never make a later one safe, because rules are re-ordered.
What a client may claim freely (HELO, sender, reverse name, recipient), encryption and the listener's tag never make a
rule safe; only authentication, this machine, or a bounded set of networks do.
"""

import ipaddress
from collections.abc import Mapping
from itertools import groupby

from paquebot_mta.config.actions import Action
from paquebot_mta.config.check_keys import Network, parse_network
from paquebot_mta.config.rules import Flag, For, Match, Pattern, Rule
from paquebot_mta.config.tables import Table

WIDEST_PREFIX = {4: 8, 6: 32}
MAX_SHARE = {4: 4, 6: 64}  # how many of the widest networks one rule may name in all
# Networks in which any IPv4 host has an address: NAT64 (RFC 6052), IPv4-compatible (RFC 4291), Teredo (RFC 4380).
EMBEDDING = tuple(ipaddress.IPv6Network(text) for text in ("64:ff9b::/96", "::/96", "2001::/32"))


def is_open_relay(rule: Rule, actions: Mapping[str, Action], tables: Mapping[str, Table]) -> bool:
    """Whether ``rule`` sends mail of anyone on to recipients anywhere."""
    action = actions.get(rule.action) if rule.outcome == "Action" else None
    if action is None or (action.relay is None and action.lmtp is None):
        return False
    return not _for_bounded(rule.match.for_, tables) and not _from_bounded(rule.match, tables)


def _holds(flag: Flag | None) -> bool:
    return flag is not None and not flag.negate


def _for_bounded(for_: For, tables: Mapping[str, Table]) -> bool:
    if _holds(for_.hosted) or _holds(for_.local):
        return True
    domains = _listed(for_.domains, tables)
    return domains is not None and all(_is_bounded_domain(domain) for domain in domains)


def _is_bounded_domain(entry: str) -> bool:
    """``*.example.org`` is bounded; ``*``, ``*.org`` and ``*.*.org`` are not."""
    labels = entry.strip(".").split(".")
    return bool(labels[0]) and ("*" not in entry or (len(labels) > 2 and "*" not in labels[-1] + labels[-2]))


def _from_bounded(match: Match, tables: Mapping[str, Table]) -> bool:
    from_ = match.from_
    if _holds(match.auth) or _holds(from_.local) or _holds(from_.auth):
        return True
    if from_.users is not None and not from_.users.negate:
        return True
    networks = _listed(from_.networks, tables)
    return networks is not None and _are_bounded(networks)


def _listed(pattern: Pattern | None, tables: Mapping[str, Table]) -> tuple[str, ...] | None:
    """The literal entries of a pattern; None if there is none, or what it matches can't be counted."""
    if pattern is None or pattern.negate or pattern.regex:
        return None
    if not pattern.table:
        return pattern.values
    table = tables.get(pattern.table)
    if table is None or table.inline is None or table.match_mode == "Regex" or "regex" in table.services:
        return None
    return (*pattern.values, *table.inline.keys, *table.inline.entries)


def _are_bounded(entries: tuple[str, ...]) -> bool:
    try:
        networks = [parse_network(entry) for entry in entries]
    except ValueError:
        return False
    if any(isinstance(each, ipaddress.IPv6Network) and _embeds(each) for each in networks):
        return False
    by_version = sorted(networks, key=lambda each: each.version)
    return all(_is_small(version, list(group)) for version, group in groupby(by_version, lambda each: each.version))


def _embeds(network: ipaddress.IPv6Network) -> bool:
    """Whether it reaches so far into a network of embedded IPv4 addresses that it holds a /8 of them or more."""
    return any(network.overlaps(other) and network.prefixlen <= other.prefixlen + 8 for other in EMBEDDING)


def _is_small(version: int, networks: list[Network]) -> bool:
    collapsed = list(ipaddress.collapse_addresses(networks))  # type: ignore[type-var]
    widest = 2 ** ((32 if version == 4 else 128) - WIDEST_PREFIX[version])
    return all(each.prefixlen >= WIDEST_PREFIX[version] for each in collapsed) and (
        sum(each.num_addresses for each in collapsed) <= MAX_SHARE[version] * widest
    )
