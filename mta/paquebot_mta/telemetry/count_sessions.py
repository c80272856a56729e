"""How events of sessions change the metrics. Each function binds its series once and returns the counter of one event.

A counter runs for each of the thirty-odd events of a session: no look-up by name, no formatting.
"""

from collections.abc import Callable
from typing import Any, Final

from paquebot_mta.telemetry.dialogues import Dialogues
from paquebot_mta.telemetry.events import (
    FilterReport,
    FilterResponse,
    LinkAuth,
    LinkConnect,
    LinkDisconnect,
    LinkGreeting,
    LinkIdentify,
    LinkTls,
    ProtocolClient,
    ProtocolServer,
    Timeout,
)
from paquebot_mta.telemetry.labels import CIPHERS, endpoint_of
from paquebot_mta.telemetry.metric import OTHER, PREFIX
from paquebot_mta.telemetry.store import Store

Count = Callable[[Any], None]
"""Counts one event of the class that it is registered for."""

_CIPHERS: Final = frozenset(CIPHERS)
_MECHANISMS: Final = frozenset({"PLAIN", "LOGIN"})


def _connect(store: Store, dialogues: Dialogues) -> Count:
    sessions = store.series("paquebot_smtp_sessions_total")
    active = store.series("paquebot_smtp_sessions_active")
    fcrdns = store.series("paquebot_smtp_fcrdns_total")

    def count(event: LinkConnect) -> None:
        endpoint = endpoint_of(event.endpoint)
        sessions.add((event.direction, endpoint, event.family))
        active.add((event.direction, endpoint))
        dialogues.open(event.direction, event.session, endpoint)
        if event.direction == "in":
            fcrdns.add((event.fcrdns,))

    return count


def _disconnect(store: Store, dialogues: Dialogues) -> Count:
    reasons = store.series("paquebot_smtp_disconnects_total")
    active = store.series("paquebot_smtp_sessions_active")
    durations = store.series("paquebot_smtp_session_duration_seconds")

    def count(event: LinkDisconnect) -> None:
        reasons.add((event.direction, event.reason))
        durations.observe((event.direction,), event.duration_seconds)
        if (endpoint := dialogues.close(event.session)) is not None:
            active.add((event.direction, endpoint), -1.0)

    return count


def _greeting(store: Store, _: Dialogues) -> Count:
    delays = store.series("paquebot_smtp_greeting_delay_seconds")
    return lambda event: delays.observe((event.direction,), event.delay_seconds)


def _identify(store: Store, _: Dialogues) -> Count:
    methods = store.series("paquebot_smtp_identify_total")
    return lambda event: methods.add((event.direction, event.method))


def _tls(store: Store, _: Dialogues) -> Count:
    sessions = store.series("paquebot_smtp_tls_sessions_total")

    def count(event: LinkTls) -> None:
        cipher = event.cipher if event.cipher in _CIPHERS else OTHER
        sessions.add((event.direction, event.version, cipher))

    return count


def _auth(store: Store, _: Dialogues) -> Count:
    results = store.series("paquebot_smtp_auth_total")

    def count(event: LinkAuth) -> None:
        mechanism = event.mechanism if event.mechanism in _MECHANISMS else OTHER
        results.add((event.direction, mechanism, event.result))

    return count


def _timeout(store: Store, _: Dialogues) -> Count:
    timeouts = store.series("paquebot_smtp_timeouts_total")
    return lambda event: timeouts.add((event.direction, event.phase))


def _client(_: Store, dialogues: Dialogues) -> Count:
    return dialogues.ask


def _server(_: Store, dialogues: Dialogues) -> Count:
    return dialogues.answer


def _filter_response(store: Store, _: Dialogues) -> Count:
    events = store.series("paquebot_report_events_total")
    cells = {direction: events.cell((direction, FilterResponse.name)) for direction in ("in", "out")}

    def count(event: FilterResponse) -> None:
        cells[event.direction][0] += 1.0

    return count


def _filter_report(store: Store, _: Dialogues) -> Count:
    events = store.series("paquebot_report_events_total")
    reports = store.series("paquebot_filter_reports_total")

    def count(event: FilterReport) -> None:
        events.add((event.direction, event.name))
        reports.add((event.filter, event.kind))

    return count


COUNT_SESSIONS: Final[dict[type, Callable[[Store, Dialogues], Count]]] = {
    LinkConnect: _connect,
    LinkDisconnect: _disconnect,
    LinkGreeting: _greeting,
    LinkIdentify: _identify,
    LinkTls: _tls,
    LinkAuth: _auth,
    Timeout: _timeout,
    ProtocolClient: _client,
    ProtocolServer: _server,
    FilterReport: _filter_report,
    FilterResponse: _filter_response,
}


_COUNTED_BY: Final = {
    "link-connect": "smtp_sessions_total",
    "link-disconnect": "smtp_disconnects_total",
    "link-greeting": "smtp_greeting_delay_seconds",
    "link-identify": "smtp_identify_total",
    "link-tls": "smtp_tls_sessions_total",
    "link-auth": "smtp_auth_total",
    "timeout": "smtp_timeouts_total",
    "protocol-client": "smtp_commands_total",
    "tx-begin": "smtp_transactions_started_total",
    "tx-reset": "smtp_resets_total",
    "tx-envelope": "smtp_envelopes_total",
    "tx-mail": "smtp_mail_total",
    "tx-rcpt": "smtp_recipients_total",
    "tx-data": "smtp_data_total",
}
"""Report events with a metric of their own that counts each of them once, whatever its other labels."""


def count_reports(store: Store) -> None:
    """Set the number of report events from what is counted anyway: an event is counted once, not twice."""
    events = store.series("paquebot_report_events_total")
    finished = store.series("paquebot_smtp_transactions_finished_total")
    for direction in ("in", "out"):
        for name, metric in _COUNTED_BY.items():
            events.set((direction, name), store.series(f"{PREFIX}{metric}").total(direction=direction))
        for result in ("commit", "rollback"):
            events.set((direction, f"tx-{result}"), finished.total(direction=direction, result=result))
