"""The metrics: complete, closed, balanced, free of personal data; merged over workers by the catalogue's rules."""

from collections.abc import Callable
from typing import Any, get_args

import pytest
from prometheus_client.parser import text_string_to_metric_families

from paquebot_mta.mail.outcome import Deferred, Delivered
from paquebot_mta.mail.reply import Reply
from paquebot_mta.telemetry.catalogue import CATALOGUE
from paquebot_mta.telemetry.document import logs_page, metrics_page
from paquebot_mta.telemetry.events import (
    Direction,
    Event,
    LinkConnect,
    LinkTls,
    Notice,
    ProtocolClient,
    ProtocolServer,
    QueueEvent,
    Report,
    Timeout,
    TxRcpt,
)
from paquebot_mta.telemetry.labels import EVENTS, failure_reason
from paquebot_mta.telemetry.merge import merge_expositions
from paquebot_mta.telemetry.metric import MAX_OPEN_VALUES
from paquebot_mta.telemetry.metrics import Metrics, exposition
from tests.mta.telemetry.samples import (
    CANARY_IP,
    CANARY_IP6,
    CANARY_PASSWORD,
    EVPID,
    MSGID,
    REFUSED,
    SESSION,
    delivery,
    others,
    reports,
)

Samples = dict[str, float]
DIRECTIONS: tuple[Direction, ...] = get_args(Direction)
FED: dict[str, tuple[str, ...]] = {
    "link-connect": ("smtp_sessions_total", "smtp_sessions_active"),
    "link-disconnect": ("smtp_disconnects_total", "smtp_session_duration_seconds_count"),
    "link-greeting": ("smtp_greeting_delay_seconds_count",),
    "link-identify": ("smtp_identify_total",),
    "link-tls": ("smtp_tls_sessions_total",),
    "link-auth": ("smtp_auth_total",),
    "tx-reset": ("smtp_resets_total", "smtp_transactions_active"),
    "tx-begin": ("smtp_transactions_started_total", "smtp_transactions_active"),
    "tx-mail": ("smtp_mail_total",),
    "tx-rcpt": ("smtp_recipients_total", "smtp_rejections_total"),
    "tx-envelope": ("smtp_envelopes_total",),
    "tx-data": ("smtp_data_total", "smtp_rejections_total"),
    "tx-commit": ("smtp_transactions_finished_total", "smtp_message_size_bytes_sum", "smtp_message_recipients_count"),
    "tx-rollback": ("smtp_transactions_finished_total",),
    "protocol-client": ("smtp_commands_total",),
    "protocol-server": ("smtp_replies_total",),
    "filter-report": (),
    "filter-response": (),
    "timeout": ("smtp_timeouts_total",),
}


def _samples(text: bytes) -> Samples:
    found = {}
    for family in text_string_to_metric_families(text.decode()):
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}"] = sample.value
    return found


def _scrape(metrics: Metrics) -> Samples:
    return _samples(exposition(metrics.registry))


def _changed(metrics: Metrics, event: Event) -> Samples:
    before = _scrape(metrics)
    metrics.consume(event)
    after = _scrape(metrics)
    return {key: value - before.get(key, 0.0) for key, value in after.items() if value != before.get(key, 0.0)}


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_each_report_event_changes_the_metrics_that_the_catalogue_names(direction: Direction) -> None:
    metrics = Metrics()
    seen = set()
    for event in reports(direction):
        changed = _changed(metrics, event)
        assert changed.pop(f"paquebot_report_events_total{{direction={direction},event={event.name}}}") == 1
        for name in FED[event.name]:
            assert any(key.startswith(f"paquebot_{name}{{") and direction in key for key in changed), (event.name, name)
            base = f"paquebot_{name}".removesuffix("_count").removesuffix("_sum")
            assert event.name in CATALOGUE[base].source
        seen.add(event.name)
    assert seen == set(EVENTS) == set(FED)


@pytest.mark.parametrize("event", [event for event in others() if type(event).__name__ != "Notice"])
def test_each_other_event_changes_a_metric_unless_it_only_changes_a_hold(event: Event) -> None:
    held = isinstance(event, QueueEvent) and event.change in {"suspended", "resumed"}
    assert bool(_changed(Metrics(), event)) != held


def test_closed_sets_start_at_zero() -> None:
    samples = _scrape(Metrics())
    assert samples["paquebot_smtp_attempts_total{direction=in,outcome=fault}"] == 0
    assert samples["paquebot_delivery_delay_seconds_bucket{le=300.0,transport=lmtp}"] == 0
    assert samples["paquebot_queue_dequeued_total{result=expired}"] == 0
    assert len(samples) < 2_000
    assert not any("_created" in key for key in samples)


def test_every_label_value_is_closed_or_bounded() -> None:
    metrics = Metrics()
    base: dict[str, Any] = {"direction": "in", "session": SESSION, "endpoint": "mx"}
    metrics.consume(LinkTls(**base, version="SSLv9", cipher="ROT13", bits=1))
    metrics.consume(Timeout(**base, phase="lunch"))
    metrics.consume(TxRcpt(**base, msgid=MSGID, result="permfail", address="a@example.test", reason="moon phase"))
    metrics.consume(ProtocolClient(**base, command="BREW coffee"))
    metrics.consume(ProtocolServer(**base, reply="999 odd"))
    for number in range(2 * MAX_OPEN_VALUES):
        metrics.consume(delivery(Delivered(Reply(250, "ok")), action=f"a{number}"))
    samples = _scrape(metrics)
    assert samples["paquebot_smtp_tls_sessions_total{cipher=other,direction=in,version=other}"] == 1
    assert samples["paquebot_smtp_timeouts_total{direction=in,phase=other}"] == 1
    assert samples["paquebot_smtp_rejections_total{direction=in,phase=rcpt,reason=other}"] == 1
    assert samples["paquebot_smtp_commands_total{command=other,direction=in}"] == 1
    assert samples["paquebot_smtp_replies_total{code=other,command=CONNECT,direction=in}"] == 1
    assert samples["paquebot_deliveries_total{relay=other,result=delivered,transport=relay}"] == MAX_OPEN_VALUES
    assert samples["paquebot_label_overflow_total{metric=paquebot_deliveries_total}"] == MAX_OPEN_VALUES
    for family in text_string_to_metric_families(exposition(metrics.registry).decode()):
        for sample in family.samples:
            metric = CATALOGUE[sample.name] if sample.name in CATALOGUE else CATALOGUE[family.name]
            closed = {label.name: {*label.values, "other"} for label in metric.labels if label.values}
            assert {name for name, values in closed.items() if sample.labels[name] not in values} == set()


def test_many_domains_make_one_relay_label() -> None:
    metrics = Metrics()
    for number in range(3):
        metrics.consume(
            delivery(Delivered(Reply(250, "ok")), action=f"domain:d{number}.example.test", transport="lmtp")
        )
    assert _scrape(metrics)["paquebot_deliveries_total{relay=domain,result=delivered,transport=lmtp}"] == 3


def test_a_reply_is_timed_from_its_own_command_even_when_pipelined() -> None:
    now = [0.0]
    metrics = Metrics(monotonic=lambda: now[0])
    base: dict[str, Any] = {"direction": "out", "session": SESSION, "endpoint": "out"}
    metrics.consume(LinkConnect(**base, source="198.51.100.1:4", destination="203.0.113.5:25"))
    steps = [
        ("", "220 hello"),
        ("MAIL FROM:<>", ""),
        ("RCPT TO:<a@example.test>", ""),
        ("", "250-more"),
        ("", "250 ok"),
    ]
    for command, reply in [*steps, ("", "550 no"), (".", ""), ("", "250 ok"), ("", "452 full")]:
        now[0] += 1.0
        line = ProtocolClient(**base, command=command) if command else ProtocolServer(**base, reply=reply)
        metrics.consume(line)
    samples = _scrape(metrics)
    for verb, seconds in (("CONNECT", 1.0), ("MAIL", 3.0), ("RCPT", 3.0), (".", 1.0)):
        assert samples[f"paquebot_smtp_command_duration_seconds_sum{{command={verb},direction=out}}"] == seconds
    assert samples["paquebot_smtp_replies_total{code=550,command=RCPT,direction=out}"] == 1
    assert samples["paquebot_smtp_replies_total{code=452,command=.,direction=out}"] == 1


def test_sessions_and_transactions_balance() -> None:
    metrics = Metrics()
    for direction in DIRECTIONS:
        for event in reports(direction):
            metrics.consume(event)
    samples = _scrape(metrics)
    assert samples["paquebot_smtp_sessions_active{direction=in,endpoint=mx}"] == 0
    assert samples["paquebot_smtp_transactions_active{direction=out}"] == 0


def test_what_entered_the_queue_less_what_left_it_is_its_depth() -> None:
    metrics = Metrics()
    metrics.consume(QueueEvent(change="recovered", msgid=MSGID, envelopes=4))
    metrics.consume(QueueEvent(change="committed", msgid=MSGID, envelopes=3, source="submission"))
    for change in ("delivered", "expired", "removed"):
        metrics.consume(QueueEvent(change=change, msgid=MSGID, evpid=EVPID))
    samples = _scrape(metrics)
    entered = samples["paquebot_queue_enqueued_total{source=submission}"] + samples["paquebot_queue_recovered_total{}"]
    left = sum(value for key, value in samples.items() if key.startswith("paquebot_queue_dequeued_total{"))
    assert entered - left == 4


def test_no_personal_data_is_ever_a_label() -> None:
    metrics = Metrics()
    for event in (*reports("in"), *reports("out"), *others()):
        metrics.consume(event)
    text = exposition(metrics.registry).decode()
    for canary in ("canary", CANARY_IP, CANARY_IP6, CANARY_PASSWORD, SESSION, MSGID):
        assert canary not in text


def test_gauges_are_read_when_they_are_scraped() -> None:
    metrics = Metrics()
    depth: dict[tuple[str, ...], float] = {("scheduled",): 2.0}
    metrics.read("paquebot_queue_envelopes", lambda: depth)
    metrics.read("paquebot_draining", lambda: 1.0)
    metrics.read("paquebot_queue_messages", lambda: 1 / 0)
    assert _scrape(metrics)["paquebot_queue_envelopes{state=scheduled}"] == 2
    depth.clear()
    samples = _scrape(metrics)
    assert "paquebot_queue_envelopes{state=scheduled}" not in samples
    assert samples["paquebot_draining{}"] == 1
    assert "paquebot_queue_messages{}" not in samples


def test_a_metric_out_of_the_catalogue_is_refused() -> None:
    for use in (lambda m: m.set("x", 1), lambda m: m.read("x", lambda: 1.0), lambda m: m.observe("x", 1)):
        feed: Callable[[Metrics], None] = use
        with pytest.raises(KeyError):
            feed(Metrics())


def test_workers_are_merged_by_the_catalogues_rules() -> None:
    texts = []
    for generation, oldest in ((3, 100.0), (4, 50.0)):
        metrics = Metrics()
        for event in reports("in"):
            metrics.consume(event)
        metrics.set("paquebot_config_generation", generation, "mail/main")
        metrics.set("paquebot_queue_oldest_unattempted_timestamp_seconds", oldest)
        metrics.set("paquebot_draining", generation - 3)
        texts.append(exposition(metrics.registry))
    merged = merge_expositions(texts)
    samples = _samples(merged)
    assert samples["paquebot_smtp_mail_total{direction=in,result=ok}"] == 2
    assert samples["paquebot_smtp_message_size_bytes_bucket{direction=in,le=+Inf}"] == 2
    assert samples["paquebot_config_generation{resource_name=mail/main}"] == 3
    assert samples["paquebot_queue_oldest_unattempted_timestamp_seconds{}"] == 50
    assert samples["paquebot_draining{}"] == 1
    assert merged.count(b"# TYPE paquebot_smtp_mail_total ") == merged.count(b"# HELP paquebot_smtp_mail_total ") == 1
    assert _samples(merge_expositions(texts[:1])) == _samples(texts[0])


@pytest.mark.parametrize(
    ("reply", "transport", "reason"),
    [
        (REFUSED.reply, "relay", "unknown_user"),
        (Reply(451, "Greylisted, try again", "4.7.1"), "relay", "greylist"),
        (Reply(452, "over", "4.2.2"), "lmtp", "full"),
        (Reply(550, "who knows"), "relay", "other"),
        (Reply(451, "disk", "4.3.0"), "maildir", "local"),
    ],
)
def test_a_failure_is_judged_into_a_closed_set(reply: Reply, transport: str, reason: str) -> None:
    assert failure_reason(reply, transport) == reason
    metrics = Metrics()
    changed = _changed(metrics, delivery(Deferred(reply), transport=transport))
    assert any(f"reason={reason}" in key for key in changed)


def test_what_may_arrive_twice_is_counted_by_its_cause() -> None:
    metrics, name = Metrics(), "paquebot_queue_possible_duplicates_total"
    unanswered = Deferred(Reply(451, "Connection lost", "4.4.2"), ambiguous=True)
    assert _changed(metrics, delivery(unanswered))[f"{name}{{cause=unanswered}}"] == 1
    assert f"{name}{{cause=unanswered}}" not in _changed(metrics, delivery(Deferred(Reply(451, "later", "4.4.2"))))
    opened = Notice(level="info", event="queue.opened", details={"possible_duplicates": 3})
    assert _changed(metrics, opened) == {f"{name}{{cause=recovery}}": 3}


@pytest.mark.parametrize("event", ["queue.opened", "queue.leased", "queue.late", "queue.read-again", "queue.corrupt"])
def test_damage_is_counted_wherever_it_is_found(event: str) -> None:
    """Nobody counted it: the alert could not fire."""
    details: dict[str, str | int | float | bool] = {"corrupt": 1, "messages": 0, "reason": "lock"}
    notice = Notice(level="error", event=event, details=details)
    assert _changed(Metrics(), notice)["paquebot_queue_corrupt_total{}"] == 1


def test_names_and_types_follow_prometheus() -> None:
    for metric in CATALOGUE.values():
        assert metric.name.startswith("paquebot_")
        assert metric.name.endswith("_total") == (metric.kind == "counter")
        assert bool(metric.buckets) == (metric.kind == "histogram")
        assert list(metric.buckets) == sorted(metric.buckets)


def test_every_event_class_of_a_session_is_counted() -> None:
    kinds = {kind for kind in Report.__subclasses__() if kind.__subclasses__() == []}
    assert {kind.name for kind in kinds} <= set(EVENTS)


@pytest.mark.parametrize(("page", "make"), [("metrics.md", metrics_page), ("logs.md", logs_page)])
def test_the_reference_pages_are_those_of_the_catalogues(
    page: str, make: Callable[[], str], request: pytest.FixtureRequest
) -> None:
    assert (request.config.rootpath / "docs" / page).read_text(encoding="utf-8") == make()
