"""How events of transactions change the metrics; see ``count_sessions`` for the shape."""

from collections.abc import Callable
from typing import Final, Literal

from paquebot_mta.telemetry.count_sessions import Count
from paquebot_mta.telemetry.events import (
    Attempt,
    TxBegin,
    TxCommit,
    TxData,
    TxEnvelope,
    TxMail,
    TxRcpt,
    TxReset,
    TxRollback,
)
from paquebot_mta.telemetry.labels import REJECTIONS, endpoint_of
from paquebot_mta.telemetry.metric import OTHER
from paquebot_mta.telemetry.store import Store

_REJECTIONS: Final = frozenset(REJECTIONS)


def _begin(store: Store) -> Count:
    started = store.series("paquebot_smtp_transactions_started_total")
    active = store.series("paquebot_smtp_transactions_active")

    def count(event: TxBegin) -> None:
        started.add((event.direction, endpoint_of(event.endpoint)))
        active.add((event.direction,))

    return count


def _reset(store: Store) -> Count:
    resets = store.series("paquebot_smtp_resets_total")
    active = store.series("paquebot_smtp_transactions_active")

    def count(event: TxReset) -> None:
        resets.add((event.direction, "true" if event.msgid else "false"))
        if event.msgid:
            active.add((event.direction,), -1.0)

    return count


def _commit(store: Store) -> Count:
    finished = store.series("paquebot_smtp_transactions_finished_total")
    sizes = store.series("paquebot_smtp_message_size_bytes")
    recipients = store.series("paquebot_smtp_message_recipients")

    def count(event: TxCommit) -> None:
        finished.add((event.direction, endpoint_of(event.endpoint), "commit"))
        sizes.observe((event.direction,), event.size)
        recipients.observe((event.direction,), event.recipients)

    return count


def _rollback(store: Store) -> Count:
    finished = store.series("paquebot_smtp_transactions_finished_total")
    return lambda event: finished.add((event.direction, endpoint_of(event.endpoint), "rollback"))


def _envelope(store: Store) -> Count:
    envelopes = store.series("paquebot_smtp_envelopes_total")
    return lambda event: envelopes.add((event.direction, endpoint_of(event.endpoint)))


def _verdict(name: str, phase: Literal["mail", "rcpt", "data"]) -> Callable[[Store], Count]:
    def bind(store: Store) -> Count:
        verdicts = store.series(name)
        rejections = store.series("paquebot_smtp_rejections_total")

        def count(event: TxMail | TxRcpt | TxData) -> None:
            verdicts.add((event.direction, event.result))
            if event.result != "ok":
                reason = event.reason if event.reason in _REJECTIONS else OTHER
                rejections.add((event.direction, phase, reason))

        return count

    return bind


def _attempt(store: Store) -> Count:
    attempts = store.series("paquebot_smtp_attempts_total")
    faults = store.series("paquebot_smtp_faults_total")

    def count(event: Attempt) -> None:
        attempts.add((event.direction, event.outcome))
        if event.outcome == "fault":
            faults.add((event.direction, event.fault or "bug"))

    return count


COUNT_TRANSACTIONS: Final[dict[type, Callable[[Store], Count]]] = {
    TxBegin: _begin,
    TxReset: _reset,
    TxCommit: _commit,
    TxRollback: _rollback,
    TxEnvelope: _envelope,
    TxMail: _verdict("paquebot_smtp_mail_total", "mail"),
    TxRcpt: _verdict("paquebot_smtp_recipients_total", "rcpt"),
    TxData: _verdict("paquebot_smtp_data_total", "data"),
    Attempt: _attempt,
}
