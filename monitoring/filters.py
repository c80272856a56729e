"""The overview's row about filters: what they decide, how fast, who can't, and what one would do that is only tried."""

from typing import Final

from monitoring.model import Row, lines, stack

_DECIDED: Final = 'sum by (filter, phase, response) (rate(paquebot_filter_responses_total{$S,response!="proceed"}[$R]))'
_SHADOW: Final = (
    'sum by (filter, phase, response) (rate(paquebot_filter_shadow_responses_total{$S,response!="proceed"}[$R]))'
)
_IN_FORCE: Final = (
    'sum by (phase, response) (rate(paquebot_filter_responses_total{$S,response=~"junk|reject|disconnect"}[$R]))'
)

FILTERS: Final = Row(
    "Filters",
    (
        lines(
            "Decisions by filter and phase",
            "The fifteen most frequent ones that aren't to go on.",
            (f"topk(15, {_DECIDED})", "{{filter}} {{phase}}: {{response}}"),
            unit="ops",
        ),
        stack(
            "Questions answered",
            "By filter. A built-in one whose condition does not hold answers nothing.",
            "sum by (filter) (rate(paquebot_filter_responses_total{$S}[$R]))",
            "{{filter}}",
        ),
        lines(
            "Answer time",
            "The time that 95 % of a filter's answers take. Clients wait for it.",
            (
                "histogram_quantile(0.95, sum by (le, filter) "
                "(rate(paquebot_filter_request_duration_seconds_bucket{$S}[$R])))",
                "{{filter}}",
            ),
            unit="s",
        ),
        lines(
            "No usable answer",
            "Questions that a filter's `onFailure` decided, by reason.",
            ("sum by (filter, reason) (rate(paquebot_filter_errors_total{$S}[$R]))", "{{filter}}: {{reason}}"),
            unit="ops",
        ),
        lines(
            "Can't answer now",
            "In how many pods a filter is away, how many questions wait, and events that filters lost.",
            ("sum by (filter) (1 - paquebot_filter_up{$S})", "{{filter}}: away"),
            ("sum by (filter) (paquebot_filter_inflight{$S})", "{{filter}}: questions that wait"),
            ('sum(rate(paquebot_report_dropped_total{$S,consumer="filter"}[$R]))', "events lost a second"),
        ),
        lines(
            "Tried beside what is in force",
            "What filters in mode Shadow would do that don't, beside what is done to mail in the same phases.",
            (_SHADOW, "tried: {{filter}} {{phase}}: {{response}}"),
            (_IN_FORCE, "in force: {{phase}}: {{response}}"),
            unit="ops",
        ),
    ),
)
