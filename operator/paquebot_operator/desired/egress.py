"""Where a configuration sends mail, and where its filters ask, as a network policy wants to know it."""

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Final
from urllib.parse import urlsplit

from paquebot_mta.config.actions import Action
from paquebot_mta.config.filters import Greylist, Kind, Milter, Rspamd
from paquebot_mta.config.service import MtaConfig
from paquebot_operator.compile.objects import ObjectKey
from paquebot_operator.desired.context import Egress

_SERVICE_NAME = re.compile(r"[-a-z0-9.]+\.(?P<namespace>[-a-z0-9]+)\.svc(?:\..+)?")

_Asked = tuple[str, int, str]
"""Host, port, and the namespace of who wants to reach it."""
_PORTS: Final = {"http": 80, "https": 443, "redis": 6379, "rediss": 6379}


def egress_of(config: MtaConfig, owners: Mapping[str, ObjectKey]) -> Egress:
    """The ports and namespaces that smarthosts, LMTP servers, MX hosts and filters of a configuration are in.

    The service's own namespace opens others to its pods; any other opens itself alone, and of the rest only the ports.

    Args:
        config: what is in force.
        owners: the MailDomain that each domain comes from.
    """
    asked = {*_next_hops(config, owners), *_filters(config)}
    home = config.service.name.partition("/")[0]
    found = ((_SERVICE_NAME.fullmatch(host.lower().removesuffix(".")), asker) for host, _, asker in asked)
    return Egress(
        ports=tuple(sorted({config.service.outbound.port, *(port for _, port, _ in asked)})),
        namespaces=tuple(sorted({name["namespace"] for name, by in found if name and by in (home, name["namespace"])})),
    )


def _next_hops(config: MtaConfig, owners: Mapping[str, ObjectKey]) -> Iterator[_Asked]:
    home = config.service.name.partition("/")[0]
    for action in config.service.actions.values():
        yield from ((host, port, home) for host, port in _of_action(action))
    for name, domain in config.domains.items():
        owner = owners[name].namespace if name in owners else ""
        yield from ((host, port, owner) for host, port in _of_action(domain.delivery))


def _of_action(action: Action) -> Iterator[tuple[str, int]]:
    if action.relay is not None and action.relay.host:
        yield action.relay.host, action.relay.port
    if action.lmtp is not None and not action.lmtp.destination.startswith("unix:"):
        host, _, port = action.lmtp.destination.rpartition(":")
        yield host, int(port)


def _filters(config: MtaConfig) -> Iterator[_Asked]:
    for name, each in config.service.filters.items():
        yield from ((host, port, name.partition("/")[0]) for host, port in _of_filter(each.kind))


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
