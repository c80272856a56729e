"""Which filters are in use where: chains are opened, references of listeners, domains and relays followed."""

from collections.abc import Iterable, Iterator, Mapping

from paquebot_mta.config.filters import Chain, Filter
from paquebot_mta.config.service import MtaConfig
from paquebot_mta.filter.tools import Places


def open_chains(names: Iterable[str], filters: Mapping[str, Filter]) -> tuple[str, ...]:
    """Put the filters of chains in their place, in order; of two with one name the first stays.

    Raises:
        KeyError: a name leads nowhere, which a checked configuration has not.
    """
    flat: dict[str, None] = {}
    for name in names:
        kind = filters[name].kind
        flat |= dict.fromkeys(kind.filters if isinstance(kind, Chain) else (name,))
    return tuple(flat)


def places_of(settings: MtaConfig) -> dict[str, Places]:
    """Say for each filter where it is in use; those that are nowhere are left out."""
    filters = settings.service.filters
    used = [(name, each) for names, each in _uses(settings) for name in open_chains(names, filters)]
    return {
        name: Places(
            frozenset().union(*(each.listeners for user, each in used if user == name)),
            frozenset().union(*(each.relays for user, each in used if user == name)),
            frozenset().union(*(each.domains for user, each in used if user == name)),
        )
        for name, _ in used
    }


def _uses(settings: MtaConfig) -> Iterator[tuple[tuple[str, ...], Places]]:
    """Give each list of names, and where it stands; a domain's own delivery is called as its sessions call it."""
    for listener in settings.service.listeners:
        yield listener.filters, Places(listeners=frozenset({listener.name}))
    for name, action in settings.service.actions.items():
        yield action.relay.filters if action.relay else (), Places(relays=frozenset({name}))
    for domain in settings.domains.values():
        yield domain.filters, Places(domains=frozenset({domain.name}))
        relay = domain.delivery.relay
        yield relay.filters if relay else (), Places(relays=frozenset({f"domain:{domain.name}"}))
