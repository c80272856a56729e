"""The board of the operator: does what people apply reach the pods?"""

from typing import Final

from monitoring.model import OPERATOR_SELECTION, Dashboard, Row, lines, stack, stat

_NOT_READY: Final = 'paquebot_operator_resource_condition{$S,status!="True"} == 1'

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
                    "Conditions that are not true",
                    "Of all objects; the panel below names them.",
                    f"count({_NOT_READY}) or vector(0)",
                    above=0.5,
                ),
                stat("Objects", "That the operator knows.", "sum(paquebot_operator_resources{$S})"),
            ),
        ),
        Row(
            "Work",
            (
                stack(
                    "Reconciles by result",
                    "temporary is tried again; permanent waits for a change of the object.",
                    "sum by (kind, result) (rate(paquebot_operator_reconciles_total{$S}[$R]))",
                    "{{kind}} {{result}}",
                ),
                lines(
                    "Time of a reconcile",
                    "95 % take less.",
                    (
                        "histogram_quantile(0.95, sum by (le, kind) "
                        "(rate(paquebot_operator_reconcile_duration_seconds_bucket{$S}[$R])))",
                        "{{kind}}",
                    ),
                    unit="s",
                ),
                lines(
                    "What is not as it should be",
                    "Objects and their conditions.",
                    (
                        f"max by (kind, resource_namespace, resource_name, type) ({_NOT_READY})",
                        "{{kind}} {{resource_namespace}}/{{resource_name}} {{type}}",
                    ),
                ),
                lines(
                    "Questions to the API server",
                    "By verb and status; 429 says that it has too much to do.",
                    (
                        "sum by (verb, code) (rate(paquebot_operator_api_requests_total{$S}[$R]))",
                        "{{verb}} {{code}}",
                    ),
                    unit="ops",
                ),
                lines(
                    "Watches begun anew",
                    "After a break or an expiry everything is listed again.",
                    ("sum by (kind) (rate(paquebot_operator_watch_restarts_total{$S}[$R]))", "{{kind}}"),
                    unit="ops",
                ),
            ),
        ),
    ),
    anchor="paquebot_operator_leader",
    selection=OPERATOR_SELECTION,
)
