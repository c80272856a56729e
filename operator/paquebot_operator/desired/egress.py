"""Where a configuration sends mail, and where its filters ask, as a network policy wants to know it."""

import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Final
from urllib.parse import urlsplit

from paquebot_mta.config.actions import Action
from paquebot_mta.config.filters import Greylist, Kind, Milter, Rspamd
from paquebot_mta.config.service import MtaConfig
from paquebot_operator.desired.context import Egress

_SERVICE_NAME = re.compile(r"[-a-z0-9.]+\.(?P<namespace>[-a-z0-9]+)\.svc(?:\..+)?")

_PORTS: Final = {"http": 80, "https": 443, "redis": 6379, "rediss": 6379}


def egress_of(config: MtaConfig) -> Egress:
    """The ports and namespaces that smarthosts, LMTP servers, MX hosts and filters of a configuration are in."""
    hops = {*_next_hops(config), *_filters(config)}
    found = (_SERVICE_NAME.fullmatch(host.lower().removesuffix(".")) for host, _ in hops)
    return Egress(
        ports=tuple(sorted({config.service.outbound.port, *(port for _, port in hops)})),
        namespaces=tuple(sorted({name["namespace"] for name in found if name is not None})),
    )


def _next_hops(config: MtaConfig) -> Iterator[tuple[str, int]]:
    for action in (*config.service.actions.values(), *(domain.delivery for domain in config.domains.values())):
        yield from _of_action(action)


def _of_action(action: Action) -> Iterator[tuple[str, int]]:
    if action.relay is not None and action.relay.host:
        yield action.relay.host, action.relay.port
    if action.lmtp is not None and not action.lmtp.destination.startswith("unix:"):
        host, _, port = action.lmtp.destination.rpartition(":")
        yield host, int(port)


def _filters(config: MtaConfig) -> Iterator[tuple[str, int]]:
    for each in config.service.filters.values():
        yield from _of_filter(each.kind)


def _of_filter(kind: Kind) -> Iterator[tuple[str, int]]:
    match kind:
        case Rspamd(url=url) | Greylist(store=url):
            with suppress(ValueError):  # a port that is none: the MTA says so
                parts = urlsplit(url)
                if parts.scheme in _PORTS and parts.hostname:
                    yield parts.hostname, parts.port or _PORTS[parts.scheme]
        case Milter(address=address) if not address.startswith("unix:"):
            host, _, port = address.rpartition(":")
            yield host.strip("[]"), int(port)
