"""Calls of the volume that fail for the real process: 4yz to the client, nothing acknowledged is lost, and it heals."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator

import pytest

from bench.usage import cpu_of
from tests.faults.books import balance, token_of
from tests.faults.tracing import Injection, TracedPaquebot, running_traced
from tests.support.load import Load, Witness, run_load
from tests.support.paquebot_config import ALICE, PaquebotSettings
from tests.support.processes import peer_directory, run_command
from tests.support.requirements import needs_programs

pytestmark = [pytest.mark.crash, pytest.mark.timeout(300), needs_programs("strace")]

SMALL_BYTES, BIG_BYTES = 800, 600_000
WATCHED_SECONDS, MOST_CPU_SHARE = 2.0, 0.05


@pytest.fixture
def paquebot() -> Iterator[TracedPaquebot]:
    with peer_directory() as directory, running_traced(directory / "paquebot", PaquebotSettings()) as running:
        yield running


def send(paquebot: TracedPaquebot, name: str, length_bytes: int) -> Witness:
    load = Load(sessions=3, messages=12, length_bytes=length_bytes, recipients=(ALICE,), name=name)
    return run_load(paquebot.ports.mx, load)


@pytest.mark.parametrize("length_bytes", [SMALL_BYTES, BIG_BYTES])
@pytest.mark.parametrize(
    ("kind", "error", "reply"),
    [
        ("fdatasync", "EIO", "451 4.3.0"),
        ("fdatasync", "ENOSPC", "452 4.3.1"),
        ("pwrite", "EIO", "451 4.3.0"),
        ("pwrite", "ENOSPC", "452 4.3.1"),
    ],
)
def test_a_failing_call_is_4yz_and_loses_nothing(
    paquebot: TracedPaquebot, kind: str, error: str, reply: str, length_bytes: int
) -> None:
    name = f"{kind}-{error}-{length_bytes}".lower()
    tracer = paquebot.attach(Injection(kind, "2+3", f"error={error}"))
    witness = send(paquebot, name, length_bytes)
    tracer.terminate()
    # After a full volume it is not tried before the next look at the free space.
    paquebot.wait_for(lambda: bool(send(paquebot, f"{name}-probe", 100).acked), "an acknowledgement", 20.0)
    paquebot.wait_for(paquebot.is_ready, "readiness", 20.0)
    healed = send(paquebot, f"{name}-healed", length_bytes)
    paquebot.wait_for_empty_queue(90.0)
    witness.join(healed)
    copies = [copy for copy in paquebot.delivered(ALICE) if token_of(copy) in witness.sent]
    found = balance(witness, copies, ())
    assert {line[:9] for line in witness.refused} <= {reply, "451 4.3.0"}
    assert len(healed.acked) == 12
    assert (found.lost, found.altered, found.strangers) == (0, 0, 0)
    assert witness.refused, "the injection met nothing"


def test_readiness_follows_the_volume(paquebot: TracedPaquebot) -> None:
    tracer = paquebot.attach(Injection("pwrite", "1+", "error=EROFS"))
    refused = [line for number in range(3) for line in send(paquebot, f"gone-{number}", SMALL_BYTES).refused]
    assert refused
    assert all(line.startswith("451 4.3.0") for line in refused)
    paquebot.wait_for(lambda: paquebot.get("/readyz")[0] == 503, "an end of readiness", 10.0)
    assert b"out of order" in paquebot.get("/readyz")[1]
    assert paquebot.get("/healthz")[0] == 200
    tracer.terminate()
    # No client is needed for it: the beat tries the volume.
    paquebot.wait_for(paquebot.is_ready, "readiness", 30.0)
    paquebot.wait_for_log("queue.circuit-closed")
    assert len(paquebot.log_lines(event="queue.circuit-open")) == 1


def cpu_seconds(paquebot: TracedPaquebot) -> float:
    """What it uses while it is watched."""
    before = cpu_of(paquebot.process.pid).total_seconds
    time.sleep(WATCHED_SECONDS)
    return cpu_of(paquebot.process.pid).total_seconds - before


def out_of_order(paquebot: TracedPaquebot, name: str) -> None:
    """It takes nothing, says so once, and costs little more than before, whatever this machine's CPU is worth."""
    usual = cpu_seconds(paquebot)
    said = len(paquebot.log_lines(event="queue.circuit-open"))
    for number in range(3):
        assert not send(paquebot, f"{name}-{number}", SMALL_BYTES).acked
    paquebot.wait_for(lambda: paquebot.get("/readyz")[0] == 503, "an end of readiness", 10.0)
    assert cpu_seconds(paquebot) < 2 * usual + MOST_CPU_SHARE * WATCHED_SECONDS
    assert len(paquebot.log_lines(event="queue.circuit-open")) == said + 1


def in_order_again(paquebot: TracedPaquebot, name: str) -> None:
    """It heals by itself, without a client that tries."""
    paquebot.wait_for(paquebot.is_ready, "readiness", 60.0)
    assert len(send(paquebot, f"{name}-back", SMALL_BYTES).acked) == 12
    paquebot.wait_for_empty_queue(60.0)


def test_a_queue_that_is_moved_away_takes_nothing_until_it_is_back(paquebot: TracedPaquebot) -> None:
    spool = paquebot.directory / "spool"
    away = spool.with_name("away")
    spool.rename(away)
    out_of_order(paquebot, "away")
    away.rename(spool)
    in_order_again(paquebot, "away")


def test_permissions_taken_away_and_given_back(paquebot: TracedPaquebot) -> None:
    """Modes mean nothing to root, the immutable flag does."""
    pods = paquebot.directory / "spool" / "v1" / "pods"
    run_command(["chattr", "-R", "+i", str(pods)]).checked()
    try:
        out_of_order(paquebot, "immutable")
    finally:
        run_command(["chattr", "-R", "-i", str(pods)]).checked()
    in_order_again(paquebot, "immutable")


def test_a_queue_that_is_deleted_takes_nothing(paquebot: TracedPaquebot) -> None:
    shutil.rmtree(paquebot.directory / "spool" / "v1" / "pods")
    out_of_order(paquebot, "deleted")
