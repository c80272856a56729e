"""All names that ``event`` of a log line may have: a closed catalogue; docs/logs.md is made from it."""

from typing import Final, Literal

from msgspec import Struct

from paquebot_mta.telemetry.labels import EVENTS

Level = Literal["debug", "info", "warning", "error"]


class LogName(Struct, frozen=True):
    """A name, who says it, how loud at least, and what it means."""

    name: str
    component: str
    level: Level
    meaning: str


_REPORTED: Final = frozenset(
    {"link-connect", "link-tls", "link-auth", "link-disconnect", "tx-commit", "tx-rollback", "timeout"}
)
"""Reports that are logged by default; tx-mail, tx-rcpt and tx-data are, unless the verdict is ok."""


def _report(direction: Literal["in", "out"], event: str) -> LogName:
    level: Level = "info" if event in _REPORTED else "debug"
    component = "smtpd" if direction == "in" else "sender"
    extra = " (info unless ok)" if event in {"tx-mail", "tx-rcpt", "tx-data"} else ""
    extra = " (info if it refuses)" if event == "filter-response" else extra
    return LogName(f"smtp-{direction}.{event}", component, level, f"report event {event}{extra}")


_REPORTS: Final = tuple(_report(direction, event) for direction in ("in", "out") for event in EVENTS)
_OTHERS: Final = (
    LogName("smtp-in.fault", "smtpd", "error", "a session failed by our fault; the client got a 4yz"),
    LogName("smtp-in.proxy", "smtpd", "warning", "dropped: the PROXY header is missing, bad or not believed"),
    LogName("smtp-in.stress", "smtpd", "warning", "short of room or time: clients are waited for a short time only"),
    LogName("smtp-in.stress-over", "smtpd", "info", "clients are waited for as usual again"),
    LogName("smtp-in.hostname", "smtpd", "warning", "hostnames gave no answer; the listener's own name is taken"),
    LogName("delivery.delivered", "sender", "info", "the next hop, or the mailbox, took responsibility"),
    LogName("delivery.tempfail", "sender", "info", "deferred; next_attempt says until when"),
    LogName("delivery.permfail", "sender", "info", "failed for good"),
    LogName("delivery.loop", "sender", "info", "the message has been here before"),
    LogName("delivery.expired", "sender", "info", "too old: given up with its last reply"),
    LogName("delivery.bounced", "sender", "info", "a notification was made, or suppressed"),
    LogName("delivery.undeliverable-bounce", "sender", "warning", "a notification can't be addressed: it is not made"),
    LogName("queue.committed", "scheduler", "info", "a message is durable: its 250 may go out"),
    LogName("queue.recovered", "scheduler", "debug", "a message was found on the volume at start"),
    LogName("queue.delivered", "scheduler", "debug", "an envelope left the queue: delivered"),
    LogName("queue.bounced", "scheduler", "debug", "an envelope left the queue: bounced"),
    LogName("queue.discarded", "scheduler", "debug", "an envelope left the queue: discarded"),
    LogName("queue.looped", "scheduler", "debug", "an envelope left the queue: looped"),
    LogName("queue.expired", "scheduler", "info", "an envelope left the queue: too old"),
    LogName("queue.removed", "scheduler", "info", "an envelope left the queue: an operator removed it"),
    LogName("queue.suspended", "scheduler", "info", "an operator holds an envelope"),
    LogName("queue.resumed", "scheduler", "info", "an operator let an envelope go"),
    LogName("queue.corrupt", "scheduler", "error", "a record can't be read; it is kept aside"),
    LogName("queue.leased", "scheduler", "info", "another incarnation's messages were taken over"),
    LogName("queue.released", "scheduler", "info", "part of the messages taken over was handed on to the others"),
    LogName("queue.lease-stolen", "scheduler", "warning", "our messages were taken over while we lived"),
    LogName("queue.renewed", "scheduler", "info", "after that loss the process goes on, with an empty queue"),
    LogName("queue.first-adopted-delivery", "scheduler", "info", "seconds from a dead process's last beat to this"),
    LogName("queue.adoption-failed", "scheduler", "warning", "a dead process's mail can't be taken over now"),
    LogName("queue.late", "scheduler", "warning", "a process thought dead has written more; it is delivered too"),
    LogName("queue.barred", "scheduler", "error", "a process's directory can't be read; what is in it waits"),
    LogName("queue.unremovable", "scheduler", "warning", "files that nobody needs can't be removed; it is tried again"),
    LogName("queue.twin-waits", "scheduler", "warning", "a message can't get an id of its own now; it is tried again"),
    LogName("queue.read-again", "scheduler", "warning", "what could not be read at a takeover can be; it is delivered"),
    LogName("queue.beat-stalled", "scheduler", "warning", "we can't show that we live: others will take our mail over"),
    LogName("queue.beat-resumed", "scheduler", "info", "we can show again that we live"),
    LogName("queue.key-missing", "scheduler", "error", "no key of the key ring opens a dead process's mail; it waits"),
    LogName("queue.key-removed", "scheduler", "error", "the key ring lacks a key that mail here is sealed with"),
    LogName("queue.volume", "scheduler", "warning", "the volume's kind or options promise less than a queue needs"),
    LogName("queue.fault", "scheduler", "error", "the volume refused an operation"),
    LogName("queue.full", "scheduler", "warning", "too little free space: new mail is refused"),
    LogName("queue.has-room", "scheduler", "info", "there is room again"),
    LogName("queue.opened", "scheduler", "info", "the spool was opened; what was found in it"),
    LogName("queue.circuit-open", "scheduler", "error", "the volume keeps failing: new mail is refused"),
    LogName("queue.circuit-closed", "scheduler", "info", "the volume works again"),
    LogName("clock.jumped", "scheduler", "warning", "the wall clock was set; for an hour time goes on as before"),
    LogName("clock.followed", "scheduler", "warning", "the wall clock is believed again, as it did not jump any more"),
    LogName("clock.back", "scheduler", "warning", "the wall clock is right again"),
    LogName("offline.taken", "smtpd", "info", "a message left in the drop box was submitted as its owner"),
    LogName("offline.returned", "smtpd", "warning", "recipients of such a message were refused; its sender is told"),
    LogName("offline.deferred", "smtpd", "info", "such a message can't be submitted now; it is tried again"),
    LogName("offline.refused", "smtpd", "warning", "a file in the drop box is no message; it was put aside"),
    LogName("offline.closed", "smtpd", "warning", "the drop box can't be used"),
    LogName("offline.open", "smtpd", "info", "the drop box can be used again"),
    LogName("route.enabled", "sender", "info", "a route may be used again"),
    LogName("route.disabled", "sender", "warning", "a route failed and rests"),
    LogName("route.penalised", "sender", "info", "a route failed once more"),
    LogName("table.reloaded", "table", "info", "a table was read again"),
    LogName("table.error", "table", "warning", "a table can't be read or asked"),
    LogName("filter.started", "filter", "info", "a filter answers"),
    LogName("filter.away", "filter", "warning", "the service that a filter asks is away; cause says why"),
    LogName("filter.back", "filter", "info", "it is there again"),
    LogName("filter.crashed", "filter", "error", "a filter ended"),
    LogName("filter.timeout", "filter", "warning", "a filter didn't answer in time"),
    LogName("filter.failed", "filter", "warning", "a filter gave no answer that can be used; reason says why"),
    LogName("report.subscriber", "telemetry", "warning", "a subscriber of report events ended, is away, or said so"),
    LogName("filter.stderr", "filter", "warning", "what a program wrote to its standard error"),
    LogName("filter.shadow", "filter", "info", "what a filter in mode Shadow would have done"),
    LogName("filter.answered", "filter", "debug", "a filter's decision"),
    LogName("filter.changes", "filter", "warning", "part of what a filter wanted of a message can't be done"),
    LogName("tls.loaded", "tls", "info", "certificates were loaded"),
    LogName("tls.failed", "tls", "info", "a handshake failed"),
    LogName("config.loaded", "config", "info", "a configuration is in force"),
    LogName("config.rejected", "config", "warning", "a configuration was refused; the old one stays in force"),
    LogName("config.drained", "config", "info", "the process has no work left and ends"),
    LogName("service.started", "service", "info", "all listeners accept sessions"),
    LogName("service.draining", "service", "info", "no new sessions; those in flight may end"),
    LogName("service.stopped", "service", "info", "the process ends"),
    LogName("nursery.lost", "service", "error", "no worker can be made any more; the process ends"),
    LogName("service.fault", "service", "error", "a part of the service failed and was started again, or given up"),
    LogName("worker.died", "service", "error", "a worker process ended by itself; it is started again"),
    LogName("admin.command", "admin", "info", "an operator did something"),
    LogName("dns.fault", "resolver", "warning", "the resolver's servers can't be used"),
    LogName("library.message", "library", "warning", "a library said something"),
    LogName("log.unlisted", "log", "warning", "a notice whose name isn't in this list; name says which"),
)  # fmt: skip
LOG_NAMES: Final = {each.name: each for each in (*_REPORTS, *_OTHERS)}
