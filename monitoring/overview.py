"""The first board that a person on call opens: is it fine, and if not, in which part."""

from typing import Final

from monitoring.filters import FILTERS
from monitoring.model import MTA_SELECTION, Dashboard, Row, lines, quantiles, stack, stat

_FAULTS: Final = 'sum(rate(paquebot_smtp_attempts_total{$S,direction="in",outcome="fault"}[1h]))'
_ATTEMPTS: Final = 'sum(rate(paquebot_smtp_attempts_total{$S,direction="in"}[1h]))'
_WAITING: Final = "(time() - min(paquebot_queue_oldest_unattempted_timestamp_seconds{$S}))"
_OLDEST: Final = "time() - min by (state) (paquebot_queue_oldest_envelope_timestamp_seconds{$S})"

_FINE: Final = Row(
    "Is it fine?",
    (
        stat("Ready pods", "Pods that can take mail now.", "sum(paquebot_ready{$S})", below=1),
        stat(
            "Refused by our fault",
            "Part of the last hour's attempts to hand mail to us that failed for a fault of ours. The aim is 0.1 %.",
            f"({_FAULTS} or vector(0)) / ({_ATTEMPTS} > 0 or vector(1))",
            "percentunit",
            above=0.001,
        ),
        stat("In the queue", "Envelopes that wait.", "sum(paquebot_queue_envelopes{$S})"),
        stat(
            "First attempts wait",
            "Age of the oldest envelope that was never tried. Greylisting doesn't count here: if this grows, it is us.",
            f"{_WAITING} or vector(0)",
            "s",
            above=900,
        ),
        stat(
            "Certificate ends in",
            "Days until the first certificate in use ends.",
            "(min(paquebot_tls_certificate_not_after_timestamp_seconds{$S}) - time()) / 86400",
            "d",
            below=14,
        ),
        stat(
            "Configuration refused",
            "Pods that run an older configuration because they refused the newest.",
            "count(paquebot_config_last_reload_successful{$S} == 0) or vector(0)",
            above=0.5,
        ),
    ),
)

_ACCEPT: Final = Row(
    "Mail in",
    (
        stack(
            "Attempts by outcome",
            "What became of each attempt to hand mail to us. A fault is ours; a policy rejection is meant.",
            'sum by (outcome) (rate(paquebot_smtp_attempts_total{$S,direction="in"}[$R]))',
            "{{outcome}}",
        ),
        lines(
            "Sessions open",
            "By listener.",
            ('sum by (endpoint) (paquebot_smtp_sessions_active{$S,direction="in"})', "{{endpoint}}"),
        ),
        lines(
            "Refusals by reason",
            "The ten most frequent.",
            (
                'topk(10, sum by (phase, reason) (rate(paquebot_smtp_rejections_total{$S,direction="in"}[$R])))',
                "{{phase}} {{reason}}",
            ),
            unit="ops",
        ),
        lines(
            "Slow commands",
            "The time that 95 % of the commands are answered in.",
            (
                "histogram_quantile(0.95, sum by (le, command) "
                '(rate(paquebot_smtp_command_duration_seconds_bucket{$S,direction="in"}[$R])))',
                "{{command}}",
            ),
            unit="s",
        ),
        lines(
            "TLS and passwords",
            "TLS handshakes by version, and AUTH by result.",
            ('sum by (version) (rate(paquebot_smtp_tls_sessions_total{$S,direction="in"}[$R]))', "{{version}}"),
            ('sum by (result) (rate(paquebot_smtp_auth_total{$S,direction="in"}[$R]))', "AUTH {{result}}"),
            unit="ops",
        ),
        lines(
            "Limits, deadlines and stress",
            "Limits enforced, deadlines passed, and how many pods wait less for slow clients.",
            ('sum(rate(paquebot_smtp_limit_hits_total{$S,direction="in"}[$R]))', "limits"),
            ('sum(rate(paquebot_smtp_timeouts_total{$S,direction="in"}[$R]))', "deadlines"),
            ("sum(paquebot_smtp_stressed{$S})", "pods under stress"),
        ),
    ),
)

_QUEUE: Final = Row(
    "Queue",
    (
        stack(
            "Envelopes by state",
            "What waits: hold is for a destination that has enough in flight.",
            "sum by (state) (paquebot_queue_envelopes{$S})",
            "{{state}}",
            "short",
        ),
        lines(
            "In and out",
            "Envelopes a second. In above out for long: something doesn't take mail.",
            ("sum(rate(paquebot_queue_enqueued_total{$S}[$R]))", "in"),
            ("sum by (result) (rate(paquebot_queue_dequeued_total{$S}[$R]))", "{{result}}"),
            unit="ops",
        ),
        lines("Age of the oldest", "By state.", (_OLDEST, "{{state}}"), unit="s"),
        quantiles(
            "Wait for the first attempt",
            "From accepted to the first attempt. The aim: 99.5 % within a minute.",
            "paquebot_queue_first_attempt_delay_seconds",
        ),
        lines(
            "Volume",
            "Part of the volume that is free, bytes and inodes.",
            ("min(paquebot_queue_volume_free_bytes{$S} / paquebot_queue_volume_size_bytes{$S})", "bytes"),
            ("min(paquebot_queue_volume_free_inodes{$S} / (paquebot_queue_volume_size_inodes{$S} > 0))", "inodes"),
            unit="percentunit",
        ),
        lines(
            "Syncs and possible duplicates",
            "Syncs of the volume, how many groups of records they carry, and envelopes that may arrive twice.",
            ("sum(rate(paquebot_queue_syncs_total{$S}[$R]))", "syncs"),
            ("sum(rate(paquebot_queue_commits_total{$S}[$R]))", "commits"),
            ("sum by (cause) (rate(paquebot_queue_possible_duplicates_total{$S}[$R]))", "may be twice: {{cause}}"),
            unit="ops",
        ),
    ),
)

_DELIVERY: Final = Row(
    "Mail out",
    (
        stack(
            "Attempts by result",
            "One for each recipient and attempt.",
            "sum by (transport, result) (rate(paquebot_deliveries_total{$S}[$R]))",
            "{{transport}} {{result}}",
        ),
        quantiles("Delay", "From accepted to delivered.", "paquebot_delivery_delay_seconds"),
        lines(
            "Failures by reason",
            "Class 4 is tried again, class 5 goes back to the sender.",
            (
                "topk(10, sum by (class, reason) (rate(paquebot_delivery_failures_total{$S}[$R])))",
                "{{class}}yz {{reason}}",
            ),
            unit="ops",
        ),
        stack(
            "Routes by state",
            "disabled_net: can't be connected; disabled_smtp: refuses us.",
            "sum by (relay, state) (paquebot_routes{$S})",
            "{{relay}} {{state}}",
            "short",
        ),
        lines(
            "DNS",
            "Questions by result.",
            ("sum by (result) (rate(paquebot_dns_lookups_total{$S}[$R]))", "{{result}}"),
            unit="ops",
        ),
        lines(
            "Notifications",
            "Reports to senders, by kind.",
            ("sum by (kind, result) (rate(paquebot_bounces_total{$S}[$R]))", "{{kind}} {{result}}"),
            unit="ops",
        ),
    ),
)

_PODS: Final = Row(
    "Pods",
    (
        lines(
            "Configuration in force",
            "The generation that each pod runs: the lines should be one line.",
            ("max by (instance) (paquebot_config_generation{$S})", "{{instance}}"),
        ),
        quantiles(
            "Lateness of the event loop",
            "How late a pod gets to what it wants to do. Above half a second clients notice.",
            "paquebot_event_loop_lag_seconds",
        ),
        lines(
            "Log lines",
            "By level. Warnings and errors should be rare.",
            ("sum by (level) (rate(paquebot_log_lines_total{$S}[$R]))", "{{level}}"),
            ("sum(rate(paquebot_report_dropped_total{$S}[$R]))", "lost"),
            unit="ops",
        ),
    ),
)

OVERVIEW: Final = Dashboard(
    uid="paquebot-overview",
    title="Paquebot: overview",
    says="Is mail accepted, queued and delivered as it should be, and if not, in which part does it stick?",
    rows=(_FINE, _ACCEPT, _QUEUE, _DELIVERY, _PODS, FILTERS),
    anchor="paquebot_build_info",
    selection=MTA_SELECTION,
)
