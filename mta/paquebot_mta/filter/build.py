"""From the configuration's filters to ones that decide: the one place that knows all kinds."""

from collections.abc import Mapping
from typing import Final, Protocol

from paquebot_mta.config import filters as config
from paquebot_mta.config.service import MtaConfig
from paquebot_mta.filter.builtin import build_builtin
from paquebot_mta.filter.contract import Filter
from paquebot_mta.filter.dns_lists.dnsbl import build_dnsbl
from paquebot_mta.filter.dns_lists.sender_score import build_sender_score
from paquebot_mta.filter.greylist.greylist import build_greylist
from paquebot_mta.filter.milter.milter import build_milter
from paquebot_mta.filter.places import places_of
from paquebot_mta.filter.process.process_filter import build_process
from paquebot_mta.filter.rspamd.rspamd import build_rspamd
from paquebot_mta.filter.tools import Places, Tools


class Maker(Protocol):
    """Makes the filters of one kind; called off the event loop, so nothing may be started before ``start``."""

    def __call__(self, name: str, kind: config.Kind, places: Places, tools: Tools) -> Filter:
        """Make one. Raises ValueError if the configuration can't be used."""


MAKERS: Final[Mapping[type, Maker]] = {
    config.Builtin: build_builtin,
    config.Process: build_process,
    config.Dnsbl: build_dnsbl,
    config.SenderScore: build_sender_score,
    config.Greylist: build_greylist,
    config.Rspamd: build_rspamd,
    config.Milter: build_milter,
}
"""Who makes which kind; a chain is no filter of its own."""


def build_filters(settings: MtaConfig, tools: Tools, kept: Mapping[str, Filter]) -> dict[str, Filter]:
    """Make all filters, by name, chains left out, but for those in ``kept``; nothing is started.

    Raises:
        ValueError: one can't be made; the message names it.
    """
    places = places_of(settings)
    found: dict[str, Filter] = {}
    for name, each in settings.service.filters.items():
        if name in kept:
            found[name] = kept[name]
        elif not isinstance(each.kind, config.Chain):
            found[name] = _build(name, each.kind, places.get(name, Places()), tools)
    return found


def _build(name: str, kind: config.Kind, places: Places, tools: Tools) -> Filter:
    maker = MAKERS.get(type(kind))
    if maker is None:
        raise ValueError(f"filter {name!r}: kind {type(kind).__name__} is not supported")
    try:
        return maker(name, kind, places, tools)
    except ValueError as error:
        raise ValueError(f"filter {name!r}: {error}") from error
