"""A small world to look at: Paquebot with mail of every kind, and a Prometheus that scrapes it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final, Literal

from msgspec import Struct

from monitoring.model import Dashboard, Query
from monitoring.rules import rules_yaml
from paquebot_mta.config.filters import Builtin, Criterion, Filter, FilterAction, Phase, Process
from tests.support.certificates import CertificateAuthority
from tests.support.dns_server import DnsServer
from tests.support.fake_mx import FakeMx
from tests.support.fake_mx_script import Script
from tests.support.load import Load, run_load
from tests.support.loop_thread import in_thread
from tests.support.paquebot import Paquebot, running_paquebot
from tests.support.paquebot_config import ALICE, BOB, FAR, HOSTNAME, PaquebotSettings
from tests.support.processes import LOOPBACK
from tests.support.prometheus import Line, Prometheus, Target, running_prometheus

JOB: Final = "paquebot-mta"
LABELS: Final = {"namespace": "mail", "pod": "post-mta-0"}
RATE_SECONDS: Final = 10
MOST_POINTS: Final = 90
"""Of a line: more can't be seen, and would make pictures big."""
_ZONES: Final = {FAR: {"MX": [f"10 mx.{FAR}."]}, f"mx.{FAR}": {"A": [LOOPBACK]}, "nowhere.test": {"MX": ["0 ."]}}
_FAR_REPLIES: Final = {
    f"RCPT never@{FAR}": "550 5.1.1 No such user",
    f"RCPT later@{FAR}": "451 4.7.1 Greylisted, try again",
}
_PROGRAM: Final = """
import sys
for line in sys.stdin:
    fields = line.rstrip().split("|", 7)
    if line == "config|ready\\n":
        print("register|filter|smtp-in|rcpt-to", "register|ready", sep="\\n", flush=True)
    elif fields[0] == "filter" and not fields[7].startswith("later@"):
        print("filter-result", fields[5], fields[6], "proceed", sep="|", flush=True)
"""
"""A filter that forgets an answer now and then."""


def _decides(
    phase: Phase, sender: str, response: FilterAction, mode: Literal["Enforce", "Shadow"] = "Enforce"
) -> Filter:
    when = Criterion(kind="mail-from", values=(sender,))
    return Filter(kind=Builtin(phase=phase, when=when, action=response), mode=mode)


_FILTERS: Final = {
    "news": _decides("mail-from", "@news.test", FilterAction(kind="reject", text="no newsletters")),
    "odd": _decides("mail-from", "@odd.test", FilterAction(kind="junk")),
    "tried": _decides("rcpt-to", "@client.test", FilterAction(kind="reject"), "Shadow"),
    "program": Filter(
        kind=Process(command=(sys.executable, "-c", _PROGRAM), timeout_seconds=0.2, on_failure="Proceed")
    ),
}
_RECIPIENTS: Final = (ALICE, f"friend@{FAR}", "team@example.test", f"other@{FAR}", f"never@{FAR}", f"later@{FAR}")


class Stage(Struct, frozen=True):
    """What runs."""

    paquebot: Paquebot
    prometheus: Prometheus

    def exercise(self, seconds: float, go_on: Callable[[], bool] = lambda: True) -> None:
        """Send mail that goes, waits, fails and is refused, in waves, for about so long."""
        until, wave = time.monotonic() + seconds, 0
        while time.monotonic() < until and go_on():
            size = (5, 12, 24, 12)[wave % 4]
            load = Load(sessions=3, messages=size, length_bytes=4_000, recipients=_RECIPIENTS, name=f"wave-{wave:05d}")
            run_load(self.paquebot.ports.mx, load)
            self._misbehave(wave)
            wave += 1
            time.sleep(max(0.0, min(1.0, until - time.monotonic())))

    def _misbehave(self, wave: int) -> None:
        """Do what is refused, and what needs a password."""
        self.paquebot.send("joe@news.test" if wave % 3 else "joe@odd.test", [ALICE])
        match wave % 4:
            case 0:
                self.paquebot.submit(ALICE, [f"friend@{FAR}", "x@nowhere.test"])
            case 1:
                self.paquebot.send("joe@client.test", ["nobody@example.test"])
            case 2:
                self.paquebot.send("joe@client.test", ["someone@elsewhere.invalid"])
            case _:
                self.paquebot.submit(BOB, [ALICE], "--auth-password", "wrong")

    def lines(self, board: Dashboard, query: Query, start: float, end: float) -> list[Line]:
        """Evaluate a panel's query as Grafana would: as often as can be seen, all lines at the same moments."""
        step_seconds = max(1.0, (end - start) / MOST_POINTS)
        return self.prometheus.lines(concrete(board, query), start, end, step_seconds)


def concrete(board: Dashboard, query: Query) -> str:
    """Put values for the variables into a query: all targets, and a range that fits the scrapes."""
    expression = board.expand(query.expression).replace("$__rate_interval", f"{RATE_SECONDS}s")
    for name in ("job", "namespace", "instance"):
        expression = expression.replace(f'"${name}"', '".+"')
    return expression


@contextmanager
def running_stage(directory: Path, *, prometheus_port: int | None = None) -> Iterator[Stage]:
    """Run everything below a directory (see `peer_directory`) until the end of the block."""
    with ExitStack() as stack:
        far = stack.enter_context(in_thread(FakeMx(Script(_FAR_REPLIES, hostname=f"mx.{FAR}"))))
        dns = stack.enter_context(in_thread(DnsServer(_ZONES)))
        settings = PaquebotSettings(
            certificate=CertificateAuthority(directory).issue(HOSTNAME, "localhost", LOOPBACK, days=80),
            resolver_port=dns.port,
            outbound_port=far.port,
            retry_seconds=15,
            filters=_FILTERS,
            listener_filters=tuple(_FILTERS),
        )
        paquebot = stack.enter_context(running_paquebot(directory / "paquebot", settings))
        paquebot.expected_faults = ('"filter.timeout"',)
        targets = [Target(paquebot.ports.admin, JOB, LABELS)]
        server = running_prometheus(directory / "prometheus", targets, rules_yaml(), prometheus_port)
        yield Stage(paquebot, stack.enter_context(server))
