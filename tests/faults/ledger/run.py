"""One run of a ledger: a pool on a volume under load and under strikes, until all mail is where it belongs."""

from __future__ import annotations

import contextlib
import json
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from paquebot_mta.config.actions import Action, Relay
from paquebot_mta.config.rules import For, From, Match, Pattern, Rule
from paquebot_mta.config.service import Limits
from tests.faults.books import token_of
from tests.faults.ledger.account import Account, Point, account, riddles
from tests.faults.ledger.chaos import Chaos, Ground, name_of
from tests.faults.ledger.loader import Loader
from tests.faults.ledger.plan import Plan, strikes
from tests.faults.ledger.sink import Sink
from tests.faults.pods import DEFAULTS, Pool
from tests.faults.volume import Volume
from tests.support.dns_server import DnsServer
from tests.support.load import Witness
from tests.support.loop_thread import in_thread
from tests.support.paquebot_config import FAR, OPPORTUNISTIC, PaquebotSettings
from tests.support.processes import LOOPBACK, PeerError, run_command, wait_until

VOLUME_BYTES = 5 * 2**30
SENDERS = "client.test"
"""The domain of the load's reverse-path: notifications go there."""
_LIMITS = Limits(errors=100_000, messages_per_session=100_000, sessions_per_client=1_000)
_COUNTERS = ("queue.opened", "queue.leased")


def run_ledger(place: Path, plan: Plan, tell: Callable[[str], None] = lambda _: None) -> tuple[Account, list[Point]]:
    """Run it below a directory; `tell` gets a line now and then.

    Raises:
        PeerError: a process did not come back, or something needed isn't there.
    """
    with _ground(place, plan) as ground:
        chaos = Chaos(ground)
        try:
            _strike(ground, chaos, plan, tell)
        finally:
            chaos.settle()
        tell("the strikes are over; waiting for the rest of the mail")
        witness = _close(ground.loaders)
        queued = _settle(ground, witness, plan.settle_seconds)
        found = account(witness, ground.sink.arrivals, queued, chaos.points, possible_duplicates(ground.pool))
        for riddle in riddles(witness, ground.sink.arrivals, chaos.points):
            tell(f"unexplained: {riddle}")
        return found, chaos.points


def _strike(ground: Ground, chaos: Chaos, plan: Plan, tell: Callable[[str], None]) -> None:
    ends_at, told_at = time.monotonic() + plan.seconds, time.monotonic()
    for strike in strikes(plan):
        if time.monotonic() > ends_at or len(chaos.points) >= plan.points:
            return
        chaos.strike(strike)
        if time.monotonic() - told_at > 30.0:
            told_at = time.monotonic()
            used = shutil.disk_usage(ground.volume.path).used / 2**20
            tell(f"{len(chaos.points)} crash points, {used:.0f} MiB of the volume are in use")


@contextlib.contextmanager
def _ground(place: Path, plan: Plan) -> Iterator[Ground]:
    with contextlib.ExitStack() as stack:
        volume = Volume(place, VOLUME_BYTES)
        stack.callback(volume.close)
        sink = stack.enter_context(in_thread(Sink()))
        hosts = {FAR: {"MX": [f"10 mx.{FAR}."]}, SENDERS: {"MX": [f"10 mx.{FAR}."]}, f"mx.{FAR}": {"A": [LOOPBACK]}}
        dns = stack.enter_context(in_thread(DnsServer(hosts)))
        settings = [settings_of(name_of(pod), dns.port, sink.port) for pod in range(plan.pods)]
        spool = volume.path / "spool"
        pool = Pool(place, settings, machines=plan.machines, spool=spool, entry=plan.entry)
        stack.callback(pool.close)
        run_command(["sync", "-f", str(volume.path)]).checked()  # what a first start has made is not the question
        loaders = [
            Loader(f"p{n}", pod.ports.mx, sessions=plan.sessions, pause_seconds=plan.pause_seconds, seed=plan.seed + n)
            for n, pod in enumerate(pool.pods)
        ]
        stack.callback(lambda: _close(loaders))
        yield Ground(volume, sink, pool, loaders)


def settings_of(name: str, resolver_port: int, sink_port: int) -> PaquebotSettings:
    """Return what a process runs with: the queue's defaults, and its name in EHLO, which says who delivered what."""
    to_senders = For(domains=Pattern(values=(SENDERS,)))
    notify = Rule(name="senders", match=Match(from_=From(any=True), for_=to_senders), outcome="Action", action="relay")
    return replace(
        PaquebotSettings(resolver_port=resolver_port, outbound_port=sink_port, queue=DEFAULTS, limits=_LIMITS),
        actions={"relay": Action(relay=Relay(tls=OPPORTUNISTIC, helo=name))},
        rules=(notify,),
        grace_seconds=5.0,
    )


def _close(loaders: list[Loader]) -> Witness:
    witness = Witness()
    for loader in loaders:
        loader.close()
        witness.join(loader.witness)
    return witness


def _settle(ground: Ground, witness: Witness, timeout_seconds: float) -> set[str]:
    """Wait until every acknowledged message is accounted for and no queue has any; tell what is still queued."""
    with contextlib.suppress(PeerError):
        wait_until(lambda: not ground.sink.missing(witness.acked), "all mail", timeout_seconds)
    if not ground.sink.missing(witness.acked):
        # What was not acknowledged may still be on its way. A busy process may not tell its gauges in time.
        with contextlib.suppress(PeerError, ValueError, OSError):
            ground.pool.wait_until_empty()
        return set()
    found = {
        token_of(pod.cli("show", "message", entry["evpid"][:8]).stdout)
        for pod in ground.pool.pods
        for entry in pod.queue()
    }
    return found - {""}


def possible_duplicates(pool: Pool) -> int:
    """Add up what the processes have counted, at their starts and when they took over."""
    return sum(_counted(pod.log_path) for pod in pool.pods)


def _counted(log_path: Path) -> int:
    total = 0
    with log_path.open(encoding="utf-8", errors="replace") as log:
        for line in log:
            if any(event in line for event in _COUNTERS):
                total += int(json.loads(line).get("possible_duplicates", 0))
    return total
