"""The board of the operator: does what people apply reach the pods?"""

from typing import Final

from monitoring.model import OPERATOR_SELECTION, Dashboard, Row, lines, quantiles, stack, stat

_DOMAINS: Final = "sum by (state) (paquebot_operator_domains{$S})"

OPERATOR: Final = Dashboard(
    uid="paquebot-operator",
    title="Paquebot: operator",
    says="Does what people apply reach the pods, how fast, and what is refused?",
    rows=(
        Row(
            "Is it fine?",
            (
                stat("Leaders", "Exactly one replica writes.", "sum(paquebot_operator_leader{$S})", below=1, above=1.5),
                stat(
                    "Pods behind",
                    "Ready pods that don't run the newest configuration: for a moment after each change, not for long.",
                    "sum(paquebot_operator_pods_not_programmed{$S})",
                    above=0.5,
                ),
                stat(
                    "Domains refused",
                    "MailDomains that a MailService has, but doesn't take as they are.",
                    'sum(paquebot_operator_domains{$S,state="total"}) '
                    '- sum(paquebot_operator_domains{$S,state="accepted"})',
                    above=0.5,
                ),
                stat(
                    "Services not ready",
                    "MailServices that aren't Ready: their conditions say why.",
                    'sum(paquebot_operator_service_condition{$S,type="Ready"} == bool 0)',
                    above=0.5,
                ),
                stat(
                    "Oldest change not begun",
                    "How long the oldest change waits for the operator.",
                    "max(paquebot_operator_queue_oldest_seconds{$S})",
                    "s",
                    above=60,
                ),
                stat(
                    "Statuses to write",
                    "What people see in status lags behind by so many objects.",
                    "sum(paquebot_operator_statuses_waiting{$S})",
                ),
            ),
        ),
        Row(
            "Work",
            (
                quantiles(
                    "From a change to all pods",
                    "From a change seen to every ready pod running it.",
                    "paquebot_operator_programming_seconds",
                ),
                stack(
                    "Passes by result",
                    "Over a MailService: written, unchanged, refused (its conditions say why), failed and tried again.",
                    "sum by (result) (rate(paquebot_operator_reconciles_total{$S}[$R]))",
                    "{{result}}",
                ),
                quantiles("Time of a pass", "Over one MailService.", "paquebot_operator_reconcile_duration_seconds"),
                lines("Domains", "MailDomains by state: the lines should lie together.", (_DOMAINS, "{{state}}")),
                lines(
                    "Questions to the API server",
                    "By verb and status; 429 says that it has too much to do, 0 that it doesn't answer.",
                    ("sum by (verb, code) (rate(paquebot_operator_api_requests_total{$S}[$R]))", "{{verb}} {{code}}"),
                    unit="ops",
                ),
                lines(
                    "Full lists",
                    "Lists that replaced what the operator knew, and changes that only they told.",
                    ("sum by (reason) (rate(paquebot_operator_resyncs_total{$S}[$R]))", "{{reason}}"),
                    (
                        "sum by (resource) (rate(paquebot_operator_resync_missed_total{$S}[$R]))",
                        "missed: {{resource}}",
                    ),
                    unit="ops",
                ),
            ),
        ),
    ),
    anchor="paquebot_operator_leader",
    selection=OPERATOR_SELECTION,
)
