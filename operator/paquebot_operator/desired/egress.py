"""Where a configuration sends mail, as a network policy wants to know it."""

import re
from collections.abc import Iterator

from paquebot_mta.config.actions import Action
from paquebot_mta.config.service import MtaConfig
from paquebot_operator.desired.context import Egress

_SERVICE_NAME = re.compile(r"[-a-z0-9.]+\.(?P<namespace>[-a-z0-9]+)\.svc(?:\..+)?")


def egress_of(config: MtaConfig) -> Egress:
    """The ports and namespaces that smarthosts, LMTP servers and MX hosts of a configuration are in."""
    hops = set(_next_hops(config))
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
