"""All metrics, once: name, type, labels, meaning, source. Metric objects, docs/metrics.md and checks come from here."""

from typing import Final

from paquebot_mta.telemetry import labels as of
from paquebot_mta.telemetry.metric import Metric, counter, gauge, histogram

_SESSION_SECONDS: Final = (0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
_COMMAND_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0, 120.0, 300.0)
_ADOPTION_SECONDS: Final = (0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 60.0, 120.0, 300.0, 900.0)
_LOOP_SECONDS: Final = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
_QUEUE_SECONDS: Final = (
    1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1_800.0, 3_600.0, 14_400.0, 43_200.0, 86_400.0, 345_600.0,
)  # fmt: skip
_SIZE_BYTES: Final = tuple(float(1_024 * 4**power) for power in range(9))
_RECIPIENTS: Final = (1.0, 2.0, 5.0, 10.0, 50.0, 100.0, 500.0, 1_000.0)

SESSION: Final = (
    counter("report_events", "Report events seen.", "every report event", of.DIRECTION, of.EVENT),
    counter("report_dropped", "Events or log lines a consumer lost.", "event bus, log, streams", of.CONSUMER),
    counter("smtp_sessions", "Sessions opened.", "link-connect", of.DIRECTION, of.ENDPOINT, of.FAMILY),
    gauge("smtp_sessions_active", "Sessions open now.", "link-connect, link-disconnect", of.DIRECTION, of.ENDPOINT),
    histogram("smtp_session_duration_seconds", "Life of a session.", "link-disconnect", _SESSION_SECONDS, of.DIRECTION),
    counter("smtp_disconnects", "Sessions closed, by reason.", "link-disconnect", of.DIRECTION, of.DISCONNECT),
    counter("smtp_fcrdns", "Forward-confirmed reverse DNS of clients.", "link-connect (in)", of.FCRDNS),
    histogram(
        "smtp_greeting_delay_seconds", "From connect to banner.", "link-greeting", _SESSION_SECONDS, of.DIRECTION
    ),
    counter("smtp_identify", "HELO, EHLO and LHLO accepted.", "link-identify", of.DIRECTION, of.METHOD),
    counter(
        "smtp_tls_sessions", "TLS handshakes done.", "link-tls", of.DIRECTION, of.TLS_VERSION, of.CIPHER, sparse=True
    ),
    counter("smtp_tls_failures", "TLS handshakes failed.", "TlsFailure", of.DIRECTION, of.TLS_FAILURE),
    counter("smtp_auth", "AUTH outcomes.", "link-auth", of.DIRECTION, of.MECHANISM, of.AUTH_RESULT),
    counter("smtp_timeouts", "Deadlines that passed.", "timeout", of.DIRECTION, of.PHASE),
    counter("smtp_commands", "Commands, by verb.", "protocol-client", of.DIRECTION, of.COMMAND),
    counter("smtp_replies", "Final reply lines.", "protocol-server", of.DIRECTION, of.COMMAND, of.CODE, sparse=True),
    histogram(
        "smtp_command_duration_seconds",
        "From a command to the last line of its reply.",
        "protocol-client, protocol-server",
        _COMMAND_SECONDS,
        of.DIRECTION,
        of.COMMAND,
        sparse=True,
    ),
    gauge("smtp_stressed", "1 while slow clients are waited for less.", "listeners", merge="max"),
    counter("smtp_limit_hits", "Limits enforced.", "LimitHit", of.DIRECTION, of.LIMIT),
)

TRANSACTION: Final = (
    counter("smtp_transactions_started", "Transactions begun.", "tx-begin", of.DIRECTION, of.ENDPOINT),
    counter(
        "smtp_transactions_finished",
        "Transactions ended, by result.",
        "tx-commit, tx-rollback",
        of.DIRECTION,
        of.ENDPOINT,
        of.FINISHED,
    ),
    gauge("smtp_transactions_active", "Transactions open now.", "tx-begin, tx-reset", of.DIRECTION),
    counter("smtp_resets", "Transactions closed.", "tx-reset", of.DIRECTION, of.IN_TRANSACTION),
    counter("smtp_mail", "Answers to MAIL.", "tx-mail", of.DIRECTION, of.VERDICT),
    counter("smtp_recipients", "Answers to RCPT.", "tx-rcpt", of.DIRECTION, of.VERDICT),
    counter("smtp_data", "Answers to DATA.", "tx-data", of.DIRECTION, of.VERDICT),
    counter(
        "smtp_rejections",
        "Why MAIL, RCPT or DATA was refused.",
        "tx-mail, tx-rcpt, tx-data",
        of.DIRECTION,
        of.REFUSED_AT,
        of.REJECTION,
    ),
    counter("smtp_envelopes", "Envelopes made.", "tx-envelope", of.DIRECTION, of.ENDPOINT),
    histogram("smtp_message_size_bytes", "Size of messages.", "tx-commit", _SIZE_BYTES, of.DIRECTION),
    histogram("smtp_message_recipients", "Recipients of messages.", "tx-commit", _RECIPIENTS, of.DIRECTION),
    counter(
        "smtp_attempts",
        "Once for each transaction, or session refused before MAIL.",
        "Attempt",
        of.DIRECTION,
        of.OUTCOME,
    ),
    counter("smtp_faults", "Attempts that failed by our fault.", "Attempt", of.DIRECTION, of.FAULT),
)

FILTERS: Final = (
    counter(
        "filter_responses",
        "Decisions of filters; a built-in one whose condition does not hold makes none.",
        "FilterAnswer",
        of.FILTER,
        of.FILTER_PHASE,
        of.FILTER_RESPONSE,
        sparse=True,
    ),
    counter(
        "filter_shadow_responses",
        "Decisions of filters in mode Shadow: noted, not done.",
        "FilterAnswer",
        of.FILTER,
        of.FILTER_PHASE,
        of.FILTER_RESPONSE,
        sparse=True,
    ),
    counter("filter_reports", "What filters said.", "filter-report", of.FILTER, of.FILTER_KIND),
    histogram(
        "filter_request_duration_seconds",
        "From question to answer; built-in filters answer at once.",
        "FilterAnswer",
        _COMMAND_SECONDS,
        of.FILTER,
    ),
    counter("filter_errors", "Questions without a usable answer.", "FilterFault", of.FILTER, of.FAILING),
    gauge("filter_up", "1 while a filter can answer.", "service", of.FILTER, merge="min"),
    gauge("filter_inflight", "Questions that wait for an answer now.", "service", of.FILTER),
)

DNS: Final = (
    counter(
        "dns_lookups", "Questions that a server answered, or should have.", "DnsLookup", of.DNS_TYPE, of.DNS_RESULT
    ),
    histogram("dns_lookup_duration_seconds", "Time of a lookup.", "DnsLookup", _COMMAND_SECONDS, of.DNS_TYPE),
    counter("mx_lookups", "Domains routed.", "MxLookup", of.MX_RESULT),
)

QUEUE: Final = (
    gauge("queue_envelopes", "Envelopes in the queue now.", "queue", of.QUEUE_STATE),
    gauge("queue_messages", "Messages in the queue now.", "queue"),
    gauge("queue_bytes", "Bytes of content in the queue now.", "queue"),
    gauge(
        "queue_oldest_envelope_timestamp_seconds",
        "When the oldest envelope was accepted; absent if there is none.",
        "queue",
        of.QUEUE_STATE,
        merge="min",
    ),
    gauge(
        "queue_oldest_unattempted_timestamp_seconds",
        "When the oldest envelope without an attempt was accepted; absent if there is none.",
        "queue",
        merge="min",
    ),
    counter("queue_enqueued", "Envelopes that entered the queue.", "QueueEvent committed", of.SOURCE),
    counter("queue_recovered", "Envelopes found on the volume at start.", "QueueEvent recovered"),
    counter("queue_dequeued", "Envelopes that left the queue.", "QueueEvent", of.DEQUEUE_RESULT),
    counter(
        "queue_possible_duplicates",
        "Envelopes that may arrive twice: a delivery ended between the end of data and its stored result.",
        "DeliveryAttempt (unanswered), Notice queue.opened (recovery)",
        of.DUPLICATE,
    ),
    counter(
        "queue_offline_messages",
        "Files in the drop box: submitted, recipients refused and their sender told, put off, no messages.",
        "Notice offline.*",
        of.LEFT,
    ),
    counter("queue_adoptions", "Dead processes whose mail was taken over.", "Notice queue.leased", of.ADOPTED),
    counter("queue_adopted_messages", "Messages taken over from dead processes.", "Notice queue.leased"),
    counter("queue_lost_ownerships", "How often our own mail was taken over.", "Notice queue.lease-stolen"),
    histogram(
        "queue_adoption_delay_seconds",
        "From the last beat of a dead process to the first delivery of its mail.",
        "Notice queue.first-adopted-delivery",
        _ADOPTION_SECONDS,
    ),
    counter("queue_commits", "Groups of records that were made durable together.", "queue"),
    counter("queue_syncs", "Syncs of the volume.", "queue"),
    gauge("queue_writable", "1 while the volume takes mail, 0 while it is out of order.", "queue", merge="min"),
    gauge("queue_locked_segments", "Segments that no key of the key ring opens.", "queue", merge="max"),
    counter(
        "queue_corrupt",
        "Damaged records that were found at a start, or when they were read.",
        "Notice queue.corrupt, queue.opened, queue.leased",
    ),
    gauge("queue_volume_size_bytes", "Size of the queue's volume.", "queue", merge="max"),
    gauge("queue_volume_free_bytes", "Free bytes on the queue's volume.", "queue", merge="min"),
    gauge("queue_volume_size_inodes", "Inodes of the queue's volume.", "queue", merge="max"),
    gauge("queue_volume_free_inodes", "Free inodes on the queue's volume.", "queue", merge="min"),
    histogram(
        "queue_first_attempt_delay_seconds", "From accepted to the first attempt.", "DeliveryAttempt", _QUEUE_SECONDS
    ),
    gauge("scheduler_last_run_timestamp_seconds", "When the scheduler last ran.", "scheduler", merge="min"),
)

DELIVERY: Final = (
    counter("deliveries", "Attempts, by result.", "DeliveryAttempt", of.TRANSPORT, of.RELAY, of.RESULT),
    histogram("delivery_delay_seconds", "From accepted to delivered.", "DeliveryAttempt", _QUEUE_SECONDS, of.TRANSPORT),
    histogram(
        "delivery_attempt_duration_seconds", "Time of an attempt.", "DeliveryAttempt", _COMMAND_SECONDS, of.TRANSPORT
    ),
    counter("delivery_failures", "Why attempts failed.", "DeliveryAttempt", of.TRANSPORT, of.CLASS, of.FAILURE),
    counter(
        "delivery_failures_by_status",
        "Failed attempts by class and subject of the status.",
        "DeliveryAttempt",
        of.STATUS,
    ),
    counter("bounces", "Notifications.", "BounceEvent", of.BOUNCE_KIND, of.BOUNCE_RESULT),
    gauge("routes", "Routes, by state.", "connection pool", of.RELAY, of.ROUTE_STATE),
    counter(
        "route_transitions",
        "Routes disabled, penalised and enabled.",
        "Notice route.*",
        of.RELAY,
        of.ROUTE_CHANGE,
        of.ROUTE_REASON,
        sparse=True,
    ),
    gauge("route_connections", "Open outbound connections.", "connection pool", of.RELAY),
    gauge("route_penalty_max", "Worst penalty of a route.", "connection pool", of.RELAY, merge="max"),
)

PROCESS: Final = (
    gauge("build_info", "1; version and revision of the program.", "start", of.VERSION, of.REVISION, merge="max"),
    gauge("config_generation", "Generation in force.", "ConfigEvent loaded", of.RESOURCE, merge="min"),
    gauge(
        "config_info",
        "1; first 8 hex digits of the digest in force.",
        "ConfigEvent loaded",
        of.RESOURCE,
        of.HASH,
        merge="max",
    ),
    gauge("config_last_reload_successful", "Whether the newest configuration was taken.", "ConfigEvent", merge="min"),
    gauge(
        "config_last_reload_success_timestamp_seconds",
        "When a configuration was last taken.",
        "ConfigEvent loaded",
        merge="min",
    ),
    counter("config_reloads", "Configurations taken or refused.", "ConfigEvent", of.RELOAD),
    gauge(
        "tls_certificate_not_after_timestamp_seconds",
        "End of a served certificate.",
        "listeners",
        of.CERTIFICATE,
        merge="min",
    ),
    gauge("listener_up", "Whether a listener accepts sessions.", "listeners", of.ENDPOINT, merge="min"),
    gauge("ready", "1 while the process can take mail.", "service", merge="min"),
    gauge("config_domains", "Hosted domains of the configuration in force.", "service", merge="max"),
    gauge("draining", "Whether the process is leaving.", "service", merge="max"),
    histogram("event_loop_lag_seconds", "How late the event loop is.", "service", _LOOP_SECONDS),
    counter("log_lines", "Log lines written.", "log", of.LEVEL),
    counter("label_overflow", "Label values that became other.", "metrics", of.METRIC),
)

GROUPS: Final = {
    "Sessions": SESSION,
    "Transactions": TRANSACTION,
    "Filters": FILTERS,
    "DNS": DNS,
    "Queue and scheduler": QUEUE,
    "Delivery and routes": DELIVERY,
    "Process and configuration": PROCESS,
}
CATALOGUE: Final = {metric.name: metric for group in GROUPS.values() for metric in group}


def definition(name: str) -> Metric:
    """Find a metric's definition by its full name.

    Raises:
        KeyError: there is no such metric.
    """
    return CATALOGUE[name]
