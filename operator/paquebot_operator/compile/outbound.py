"""Sending, of a MailService, into the contract's."""

import re
from collections.abc import Sequence

from paquebot_mta.config import service as contract
from paquebot_operator.api import outbound as api
from paquebot_operator.api.actions import NamedAction
from paquebot_operator.compile import names
from paquebot_operator.compile.actions import client_tls
from paquebot_operator.compile.scope import Scope

_LABEL = r"[a-z0-9*](?:[a-z0-9*-]{0,61}[a-z0-9*])?"
_PATTERN = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_MAX_STARS = 8


def compile_outbound(outbound: api.Outbound, actions: Sequence[NamedAction], scope: Scope) -> contract.Outbound:
    """Limits, waits, penalties and destinations; ``actions`` are the service's."""
    _refuse_idle_tls(outbound.destinations, actions, scope)
    return contract.Outbound(
        helo=names.optional_domain_name(outbound.helo, "spec.outbound.helo", scope.report),
        family=outbound.family,
        port=outbound.port,
        allow_private_next_hops=outbound.allow_private_next_hops,
        limits=_limits(outbound.limits),
        timeouts=_timeouts(outbound.timeouts),
        delays=_delays(outbound.delays),
        penalties=_penalties(outbound.penalties),
        destinations=_destinations(outbound.destinations, scope),
    )


def _limits(limits: api.OutboundLimits) -> contract.OutboundLimits:
    return contract.OutboundLimits(
        connections_per_host=limits.max_connections_per_host,
        connections_per_route=limits.max_connections_per_route,
        connections_per_source=limits.max_connections_per_source,
        connections_per_relay=limits.max_connections_per_relay,
        connections_per_domain=limits.max_connections_per_domain,
        messages_per_session=limits.max_messages_per_session,
        recipients_per_transaction=limits.max_recipients_per_transaction,
        keepalive_seconds=limits.keepalive_seconds,
        failures_per_session=limits.max_failures_per_session,
        in_flight=limits.max_in_flight,
        local_deliveries=limits.max_local_deliveries,
        local_deliveries_per_user=limits.max_local_deliveries_per_user,
    )


def _timeouts(timeouts: api.OutboundTimeouts) -> contract.OutboundTimeouts:
    return contract.OutboundTimeouts(
        connect=timeouts.connect_seconds,
        banner=timeouts.banner_seconds,
        command=timeouts.command_seconds,
        mail=timeouts.mail_seconds,
        recipient=timeouts.recipient_seconds,
        data=timeouts.data_seconds,
        block=timeouts.block_seconds,
        final_dot=timeouts.final_dot_seconds,
    )


def _delays(delays: api.OutboundDelays) -> contract.OutboundDelays:
    return contract.OutboundDelays(
        host=delays.host_milliseconds / 1000,
        route=delays.route_milliseconds / 1000,
        source=delays.source_milliseconds / 1000,
        relay=delays.relay_milliseconds / 1000,
        domain=delays.domain_milliseconds / 1000,
        reconnect=delays.reconnect_milliseconds / 1000,
    )


def _penalties(penalties: api.Penalties) -> contract.Penalties:
    return contract.Penalties(
        base_seconds=penalties.base_seconds,
        max_seconds=penalties.max_seconds,
        consecutive_reject_limit=penalties.consecutive_reject_limit,
        fruitless_message_limit=penalties.fruitless_message_limit,
        defer_seconds=penalties.defer_delay_seconds,
    )


def _destinations(destinations: tuple[api.Destination, ...], scope: Scope) -> tuple[contract.DestinationLimits, ...]:
    compiled: dict[str, contract.DestinationLimits] = {}
    for place, each in enumerate(destinations):
        path = f"spec.outbound.destinations[{place}]"
        limits = _destination(each, path, scope)
        if limits.domain in compiled:
            scope.report.refuse(names.INVALID, f"{path}.domain", "is there twice: the first one would always count")
        compiled[limits.domain] = limits
    return tuple(compiled.values())


def _refuse_idle_tls(destinations: Sequence[api.Destination], actions: Sequence[NamedAction], scope: Scope) -> None:
    """A destination's TLS is that of its MX hosts: where all mail goes through smarthosts nobody would see to it."""
    relays = [action.relay for action in actions if action.relay is not None]
    if not relays or any(relay.host is None for relay in relays):
        return
    for place, each in enumerate(destinations):
        if each.tls is not None:
            path = f"spec.outbound.destinations[{place}].tls"
            message = "has no effect, for all relaying goes through smarthosts: write tls in the action's relay"
            scope.report.refuse(names.INVALID, path, message)


def _destination(destination: api.Destination, path: str, scope: Scope) -> contract.DestinationLimits:
    per_minute = destination.max_messages_per_minute
    if destination.max_messages_per_second is not None:
        per_minute = destination.max_messages_per_second * 60
    return contract.DestinationLimits(
        domain=_pattern(destination.domain, f"{path}.domain", scope),
        connections=destination.max_connections,
        messages_per_session=destination.max_messages_per_session,
        messages_per_minute=None if per_minute is None else float(per_minute),
        connection_delay_seconds=destination.connection_delay_milliseconds / 1000,
        tls=client_tls(destination.tls, f"{path}.tls", scope) if destination.tls is not None else None,
    )


def _pattern(text: str, path: str, scope: Scope) -> str:
    """A domain in its canonical spelling; a pattern must have it already."""
    if "*" not in text:
        return names.domain_name(text, path, scope.report)
    folded = text.lower()
    if not _PATTERN.fullmatch(folded) or folded.count("*") > _MAX_STARS:
        scope.report.refuse(names.INVALID, path, "not a pattern of a domain: write ASCII labels, * within a label")
    return folded
