"""A configuration for a pod that was made before some of its filter programs: all of it, but for where those are asked.

A program's container can't be added to a pod, so only the pod's successor has it. Until then each place that names such
a program (a listener, a hosted domain, a relay action) keeps the filters that it had, chains and tables included, so
that nobody is asked less than before. A place that is new with such a program is not there yet.
"""

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import TypeVar

from msgspec.structs import replace

from paquebot_mta.config.actions import Action
from paquebot_mta.config.domains import Domain
from paquebot_mta.config.filters import Chain, Filter, Process
from paquebot_mta.config.listeners import Listener
from paquebot_mta.config.service import MtaConfig

_T = TypeVar("_T")


def lacking_programs(settings: MtaConfig) -> frozenset[str]:
    """Names of filter programs that this pod was made without. Looks at the disk."""
    return frozenset(
        name
        for name, each in settings.service.filters.items()
        if isinstance(each.kind, Process) and each.kind.socket and not Path(each.kind.socket).parent.is_dir()
    )


def without(programs: Collection[str], settings: MtaConfig, before: MtaConfig) -> MtaConfig:
    """Return new settings in which every place that would need one of the programs is as it was before."""
    return _Merge(programs, settings, before).settings()


class _Merge:
    """New and old settings, and which filters can't be."""

    def __init__(self, programs: Collection[str], new: MtaConfig, old: MtaConfig) -> None:
        self._new, self._old = new, old
        chains = {
            name for name, each in new.service.filters.items()
            if isinstance(each.kind, Chain) and not set(programs).isdisjoint(each.kind.filters)
        }  # fmt: skip
        self._lacking = chains | set(programs)

    def settings(self) -> MtaConfig:
        new, old = self._new, self._old
        listeners = {each.name: each for each in old.service.listeners}
        service = replace(
            new.service,
            listeners=_present(self._listener(each, listeners.get(each.name)) for each in new.service.listeners),
            actions={
                name: self._action(each, old.service.actions.get(name)) for name, each in new.service.actions.items()
            },
        )
        domains = _present(self._domain(each, old.domains.get(name)) for name, each in new.domains.items())
        merged = replace(new, service=service, domains={each.name: each for each in domains})
        filters = self._filters(_named(merged))
        tables = {**old.tables, **new.tables}  # what kept filters look at
        return replace(merged, service=replace(service, filters=filters), tables=tables)

    def _wants(self, names: Iterable[str]) -> bool:
        return not self._lacking.isdisjoint(names)

    def _listener(self, new: Listener, old: Listener | None) -> Listener | None:
        if not self._wants(new.filters):
            return new
        return None if old is None else replace(new, filters=old.filters)

    def _domain(self, new: Domain, old: Domain | None) -> Domain | None:
        return old if self._wants((*new.filters, *_relay_filters(new.delivery))) else new

    def _action(self, new: Action, old: Action | None) -> Action:
        """A relay's filters decide nothing: one that is new goes without."""
        if new.relay is None or not self._wants(new.relay.filters):
            return new
        return replace(new, relay=replace(new.relay, filters=() if old is None else _relay_filters(old)))

    def _filters(self, named: Iterable[str]) -> dict[str, Filter]:
        """The new filters that can be, and of the old ones those that are still named."""
        found = {name: each for name, each in self._new.service.filters.items() if name not in self._lacking}
        for name in named:
            for wanted in (name, *_members(name, self._old.service.filters)):
                if wanted not in found:
                    found[wanted] = self._old.service.filters[wanted]
        return found


def _present(found: Iterable[_T | None]) -> tuple[_T, ...]:
    return tuple(each for each in found if each is not None)


def _named(settings: MtaConfig) -> list[str]:
    places = [each.filters for each in settings.service.listeners]
    places += [_relay_filters(each) for each in settings.service.actions.values()]
    places += [(*each.filters, *_relay_filters(each.delivery)) for each in settings.domains.values()]
    return [name for place in places for name in place]


def _members(name: str, filters: Mapping[str, Filter]) -> tuple[str, ...]:
    kind = filters[name].kind if name in filters else None
    return kind.filters if isinstance(kind, Chain) else ()


def _relay_filters(action: Action) -> tuple[str, ...]:
    return () if action.relay is None else action.relay.filters
