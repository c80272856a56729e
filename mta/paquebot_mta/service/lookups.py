"""DNS exchanges as events: the resolver itself knows no bus."""

from typing import Final, Literal

from paquebot_mta.resolver.dns_resolver import Exchange, OnExchange
from paquebot_mta.resolver.questions import Status
from paquebot_mta.telemetry.bus import Emit
from paquebot_mta.telemetry.events import DnsLookup

_RESULTS: Final[dict[Status, Literal["ok", "nxdomain", "servfail", "timeout", "error"]]] = {
    "ok": "ok",
    "nodata": "ok",
    "nxdomain": "nxdomain",
    "servfail": "servfail",
    "timeout": "timeout",
    "error": "error",
}


def tell_lookups(emit: Emit) -> OnExchange:
    """Make what a resolver calls after each exchange with its servers."""

    def tell(exchange: Exchange) -> None:
        result = _RESULTS[exchange.status]
        emit(DnsLookup(type=exchange.rdtype, result=result, duration_seconds=exchange.duration_seconds))

    return tell
