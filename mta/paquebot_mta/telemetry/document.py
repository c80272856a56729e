"""The reference pages, from the catalogues: ``python -m paquebot_mta.telemetry.document [metrics|logs]``."""

import sys
from collections.abc import Iterator

from paquebot_mta.telemetry.catalogue import GROUPS
from paquebot_mta.telemetry.lognames import LOG_NAMES
from paquebot_mta.telemetry.metric import Metric

_METRICS_HEAD = """\
# Metrics

Made from `paquebot_mta.telemetry.catalogue` by `python -m paquebot_mta.telemetry.document > docs/metrics.md`;
don't edit.

Label values come from closed sets or from the configuration; anything else is counted as `other`, and
`paquebot_label_overflow_total` says so. No address, id or free text is ever a label. Series of closed sets start at 0.
A label without values in the table takes names from the configuration. With several workers a pod shows one value a
series: *merge* says how it is made.
"""
_LOGS_HEAD = """\
# Logs

Made from `paquebot_mta.telemetry.lognames` by `python -m paquebot_mta.telemetry.document logs > docs/logs.md`;
don't edit.

One JSON object a line on standard output; on a terminal, or with `--log-format text`, the same as readable text.
Every line has `ts` (RFC 3339, UTC, microseconds), `level`, `event` (one of the names below, never data), `component`,
`pod` and `gen` (the configuration's generation). Lines of a session have `session` (16 hex digits), lines of a message
have `msgid` (8 hex digits, also in the 250 reply and in Received), lines of an envelope have `evpid` (`msgid` and 8
more): one id tells the whole story. The lines of a transaction have both `session` and `msgid`.

## Delivery

`delivery.*` has `from`, `to`, `rcpt` (`-` if equal to `to`), `source` (our address), `relay`, `delay_seconds`
(`delay=2m5s` in text), `result` (`Ok`, `TempFail`, `PermFail`, `Loop`, `Expire`) and `stat` (the reply), and also
`attempt`, `code`, `status`, `next_attempt`, `transport`, `action`, `session`, `user`, `tls_version` where there is one.

## Personal data

The MailService's `logging.personalData` says how people appear. `Pseudonym`, the default: the local-part is `h:` and 12
hex digits of an HMAC-SHA256 of the lower-case address, the domain stays; one address has one token, so a person's mail
can be found without naming them. `Minimal`: the local-part is `*`. `Full`: as it is. Except in `Full`, client addresses
are cut to their /24 or /48, but for failed AUTH (`retention` is `security` there), and addresses are taken out of reply
texts and of what libraries say. Content, header fields and passwords are never logged. Next hops and our own
addresses, which are published in DNS, are shown.

A log that can't be written (a blocked pipe) loses lines, counted in `paquebot_report_dropped_total`; it never holds
mail.

## Names
"""


def metrics_page() -> str:
    """Make docs/metrics.md."""
    sections = (f"\n## {title}\n\n{_metric_table(metrics)}" for title, metrics in GROUPS.items())
    return _METRICS_HEAD + "".join(sections)


def logs_page() -> str:
    """Make docs/logs.md."""
    rows = (f"| `{each.name}` | {each.component} | {each.level} | {each.meaning} |\n" for each in LOG_NAMES.values())
    return f"{_LOGS_HEAD}\n| event | component | level | meaning |\n| --- | --- | --- | --- |\n{''.join(rows)}"


def _metric_table(metrics: tuple[Metric, ...]) -> str:
    head = "| name | type | labels | meaning | source | merge |\n| --- | --- | --- | --- | --- | --- |\n"
    return head + "".join(_metric_row(metric) for metric in metrics)


def _metric_row(metric: Metric) -> str:
    labels = "; ".join(_labels(metric)) or "-"
    edges = f" Buckets: {' '.join(f'{edge:g}' for edge in metric.buckets)}." if metric.buckets else ""
    return f"| `{metric.name}` | {metric.kind} | {labels} | {metric.help}{edges} | {metric.source} | {metric.merge} |\n"


def _labels(metric: Metric) -> Iterator[str]:
    for label in metric.labels:
        yield f"`{label.name}` ({', '.join(label.values)})" if label.values else f"`{label.name}`"


if __name__ == "__main__":
    sys.stdout.write(logs_page() if sys.argv[1:] == ["logs"] else metrics_page())
