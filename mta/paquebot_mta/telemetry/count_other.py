"""How events of the queue, deliveries, DNS and limits change the metrics; see ``count_sessions`` for the shape."""

from collections.abc import Callable
from typing import Final

from paquebot_mta.mail.outcome import Deferred, Delivered, Failed, Looped
from paquebot_mta.telemetry.count_sessions import Count
from paquebot_mta.telemetry.events import (
    BounceEvent,
    DeliveryAttempt,
    DnsLookup,
    LimitHit,
    MxLookup,
    Notice,
    QueueEvent,
    TlsFailure,
)
from paquebot_mta.telemetry.filter_events import FilterAnswer, FilterFault
from paquebot_mta.telemetry.labels import DEQUEUED, LEFT, SOURCES, STATUSES, endpoint_of, failure_reason
from paquebot_mta.telemetry.metric import OTHER
from paquebot_mta.telemetry.store import Store

_RESULTS: Final = {Delivered: "delivered", Deferred: "tempfail", Failed: "permfail", Looped: "loop"}
_FOUND: Final = frozenset({"queue.opened", "queue.leased", "queue.late", "queue.read-again"})
"""Notices that tell what was found in logs."""
_DEQUEUED: Final = frozenset(DEQUEUED)
_SOURCES: Final = frozenset(SOURCES)
_LEFT: Final = frozenset(LEFT.values)
_STATUSES: Final = frozenset(STATUSES)
_DNS_TYPES: Final = frozenset({"mx", "a", "aaaa", "ptr", "txt", "tlsa"})


def _queue(store: Store) -> Count:
    enqueued = store.series("paquebot_queue_enqueued_total")
    dequeued = store.series("paquebot_queue_dequeued_total")
    recovered = store.series("paquebot_queue_recovered_total")

    def count(event: QueueEvent) -> None:
        if event.change in _DEQUEUED:
            dequeued.add((event.change,), event.envelopes)
        elif event.change == "committed":
            enqueued.add((event.source if event.source in _SOURCES else OTHER,), event.envelopes)
        elif event.change == "recovered":
            recovered.add((), event.envelopes)

    return count


def _delivery(store: Store) -> Count:
    deliveries = store.series("paquebot_deliveries_total")
    delays = store.series("paquebot_delivery_delay_seconds")
    durations = store.series("paquebot_delivery_attempt_duration_seconds")
    first = store.series("paquebot_queue_first_attempt_delay_seconds")
    duplicates = store.series("paquebot_queue_possible_duplicates_total")
    fail = _failure(store)

    def count(event: DeliveryAttempt) -> None:
        result = "expired" if event.final == "expired" else _RESULTS[type(event.outcome)]
        deliveries.add((event.transport, endpoint_of(event.action), result))
        durations.observe((event.transport,), event.duration_seconds)
        if event.attempt == 1:
            first.observe((), max(0.0, event.delay_seconds - event.duration_seconds))
        if isinstance(event.outcome, Delivered):
            delays.observe((event.transport,), event.delay_seconds)
        else:
            fail(event)
            if isinstance(event.outcome, Deferred) and event.outcome.ambiguous:
                duplicates.add(("unanswered",))

    return count


def _failure(store: Store) -> Count:
    failures = store.series("paquebot_delivery_failures_total")
    by_status = store.series("paquebot_delivery_failures_by_status_total")

    def count(event: DeliveryAttempt) -> None:
        reply = event.outcome.reply
        failures.add((event.transport, "5" if reply.permanent else "4", failure_reason(reply, event.transport)))
        status = ".".join(reply.status.split(".", 2)[:2])
        by_status.add((status if status in _STATUSES else OTHER,))

    return count


def _bounce(store: Store) -> Count:
    bounces = store.series("paquebot_bounces_total")
    return lambda event: bounces.add((event.kind, event.result))


def _dns(store: Store) -> Count:
    lookups = store.series("paquebot_dns_lookups_total")
    durations = store.series("paquebot_dns_lookup_duration_seconds")

    def count(event: DnsLookup) -> None:
        asked = event.type.lower()
        known = asked if asked in _DNS_TYPES else OTHER
        lookups.add((known, event.result))
        durations.observe((known,), event.duration_seconds)

    return count


def _mx(store: Store) -> Count:
    lookups = store.series("paquebot_mx_lookups_total")
    return lambda event: lookups.add((event.result,))


def _limit(store: Store) -> Count:
    hits = store.series("paquebot_smtp_limit_hits_total")
    return lambda event: hits.add((event.direction, event.limit))


def _tls_failure(store: Store) -> Count:
    failures = store.series("paquebot_smtp_tls_failures_total")
    return lambda event: failures.add((event.direction, event.reason))


def _notice(store: Store) -> Count:
    transitions = store.series("paquebot_route_transitions_total")
    duplicates = store.series("paquebot_queue_possible_duplicates_total")
    offline = store.series("paquebot_queue_offline_messages_total")
    corrupt = store.series("paquebot_queue_corrupt_total")
    adopt = _adoption(store)

    def count(event: Notice) -> None:
        part, _, change = event.event.partition(".")
        if part == "route":
            transitions.add((endpoint_of(str(event.details["relay"])), change, str(event.details["reason"])))
        elif event.event in _FOUND:
            duplicates.add(("recovery",), float(event.details.get("possible_duplicates", 0)))
            corrupt.add((), float(event.details.get("corrupt", 0)))
        elif event.event == "queue.corrupt":
            corrupt.add(())
        if part == "queue":
            adopt(event)
        elif part == "offline" and change in _LEFT:
            offline.add((change,))

    return count


def _adoption(store: Store) -> Count:
    adoptions = store.series("paquebot_queue_adoptions_total")
    messages = store.series("paquebot_queue_adopted_messages_total")
    losses = store.series("paquebot_queue_lost_ownerships_total")
    delays = store.series("paquebot_queue_adoption_delay_seconds")

    def count(event: Notice) -> None:
        if event.event == "queue.leased":
            adoptions.add((str(event.details["reason"]),))
            messages.add((), float(event.details["messages"]))
        elif event.event == "queue.lease-stolen":
            losses.add(())
        elif event.event == "queue.first-adopted-delivery":
            delays.observe((), float(event.details["seconds"]))

    return count


def _filter_answer(store: Store) -> Count:
    responses = store.series("paquebot_filter_responses_total")
    shadows = store.series("paquebot_filter_shadow_responses_total")
    durations = store.series("paquebot_filter_request_duration_seconds")

    def count(event: FilterAnswer) -> None:
        (shadows if event.shadow else responses).add((event.filter, event.phase, event.response))
        if not event.builtin:
            durations.observe((event.filter,), event.duration_seconds)

    return count


def _filter_fault(store: Store) -> Count:
    errors = store.series("paquebot_filter_errors_total")
    return lambda event: errors.add((event.filter, event.reason))


COUNT_OTHER: Final[dict[type, Callable[[Store], Count]]] = {
    QueueEvent: _queue,
    DeliveryAttempt: _delivery,
    BounceEvent: _bounce,
    DnsLookup: _dns,
    MxLookup: _mx,
    LimitHit: _limit,
    TlsFailure: _tls_failure,
    FilterAnswer: _filter_answer,
    FilterFault: _filter_fault,
    Notice: _notice,
}
