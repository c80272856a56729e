"""Several processes on the same ports, and how they leave: what was begun is finished, what was acked is kept."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from paquebot_mta.config.listeners import Listener
from tests.support.fake_mx import FakeMx
from tests.support.fake_mx_script import Script
from tests.support.load import Load, run_load
from tests.support.loop_thread import in_thread
from tests.support.paquebot import Paquebot, running_paquebot
from tests.support.paquebot_config import ALICE, PaquebotSettings
from tests.support.processes import wait_until
from tests.support.smtp_client import SmtpClient

pytestmark = pytest.mark.integration


@pytest.fixture
def pair(directory: Path, settings: PaquebotSettings, tmp_path: Path) -> Iterator[Paquebot]:
    """Two workers."""
    with running_paquebot(directory / tmp_path.name, replace(settings, workers=2)) as running:
        yield running


def begun(port: int) -> SmtpClient:
    """Open a session in which DATA has begun."""
    client = SmtpClient(port)
    client.expect("220")
    client.command("EHLO client.test", "250")
    client.command("MAIL FROM:<joe@client.test>", "250")
    client.command(f"RCPT TO:<{ALICE}>", "250")
    client.command("DATA", "354")
    return client


def test_both_workers_accept_and_their_metrics_are_one(pair: Paquebot) -> None:
    report = run_load(pair.ports.mx, Load(sessions=10, messages=60))
    assert len(report.acked) == 60
    pair.wait_for_empty_queue()
    assert pair.metric("paquebot_smtp_transactions_finished_total", direction="in", result="commit") == 60
    assert len(pair.delivered(ALICE)) == 60
    accepted = [_commits(pair, worker) for worker in (0, 1)]
    assert sum(accepted) == 60
    assert all(accepted), accepted
    assert len(set(pair.workers().values())) == 2


def test_sigterm_lets_transactions_finish_and_dismisses_the_idle(directory: Path, settings: PaquebotSettings) -> None:
    with running_paquebot(directory / "drained", settings) as paquebot:
        port = paquebot.ports.mx
        with begun(port) as busy, SmtpClient(port) as idle:
            idle.expect("220")
            idle.command("EHLO client.test", "250")
            paquebot.process.signal(signal.SIGTERM)
            idle.expect("421 4.3.2")
            idle.expect_end()
            busy.send(b"Subject: in time\r\n\r\nx\r\n.\r\n")
            busy.expect("250 2.0.0")
            busy.expect("421")
        assert paquebot.process.wait(10.0) == 0
        paquebot.restart()
        paquebot.wait_for_delivered(ALICE, b"Subject: in time")


def test_a_client_that_never_ends_does_not_hold_up_the_end(directory: Path, settings: PaquebotSettings) -> None:
    with running_paquebot(directory / "stalled", replace(settings, grace_seconds=1.0)) as paquebot:
        with begun(paquebot.ports.mx):
            assert paquebot.stop(8.0) == 0
        paquebot.restart()
        assert paquebot.queue() == []


def test_nothing_acknowledged_is_lost_when_two_workers_stop_under_load(pair: Paquebot) -> None:
    load = run_load(pair.ports.mx, Load(sessions=20, messages=4_000), then=lambda: pair.stop(), after_acked=150)
    assert 150 <= len(load.acked) < 4_000
    pair.restart()
    pair.wait_for_empty_queue()
    everything = b"".join(pair.delivered(ALICE))
    assert [token for token in load.acked if b"Subject: " + token.encode() not in everything] == []


def test_a_restart_finds_the_queue(directory: Path, settings: PaquebotSettings) -> None:
    with in_thread(FakeMx(Script(replies={"RCPT": "450 4.2.1 not now"}))) as server:
        chosen = replace(settings, outbound_port=server.port, workers=2)
        with running_paquebot(directory / "found-again", chosen) as paquebot:
            run_load(paquebot.ports.mx, Load(sessions=4, messages=20, recipients=("x@far.test",)))
            before = sorted(entry["evpid"] for entry in paquebot.queue())
            assert len(before) == 20
            assert paquebot.stop() == 0
            paquebot.restart()
            assert sorted(entry["evpid"] for entry in paquebot.queue()) == before
            server.script = Script()
            paquebot.wait_for_empty_queue()
            assert len(server.transactions) == 20


def test_a_worker_that_dies_is_started_again(pair: Paquebot) -> None:
    pair.expected_faults = ("worker.died",)
    before = pair.workers()
    victim = next(iter(before.values()))
    os.kill(victim, signal.SIGKILL)
    pair.wait_for(lambda: len(set(pair.workers().values()) - {victim}) == 2, "a new worker", 20.0)
    assert len(run_load(pair.ports.mx, Load(sessions=10, messages=40)).acked) == 40
    pair.wait_for_empty_queue()


def test_workers_end_with_whom_they_came_from(pair: Paquebot) -> None:
    """Nobody but the supervisor could stop them: an orphan would serve on, with a configuration that nobody watches."""
    workers = set(pair.workers().values())
    os.kill(pair.process.pid, signal.SIGKILL)
    wait_until(lambda: not any(map(_lives, workers)), "their end", 20.0)
    pair.process.wait(5.0)
    pair.restart()


def test_the_supervisor_ends_when_it_can_make_no_workers_any_more(pair: Paquebot) -> None:
    workers = set(pair.workers().values())
    (nursery,) = {_parent(worker) for worker in workers}
    os.kill(nursery, signal.SIGKILL)
    assert pair.process.wait(20.0) == 1
    pair.expected_faults = ("nursery.lost",)
    wait_until(lambda: not any(map(_lives, workers)), "their end", 20.0)
    pair.restart()


def test_workers_share_a_socket_in_the_file_system(directory: Path, settings: PaquebotSettings, tmp_path: Path) -> None:
    place = directory / f"{tmp_path.name}.sock"
    chosen = replace(settings, workers=2, listeners=(Listener(name="socket", address=f"unix:{place}", port=0),))
    with running_paquebot(directory / tmp_path.name, chosen) as paquebot:
        paquebot.expected_faults = ("worker.died",)
        inode = place.stat().st_ino
        assert place.stat().st_mode & 0o777 == 0o666
        for victim in paquebot.workers().values():
            os.kill(victim, signal.SIGKILL)
            _greet(place, 20)  # the other worker serves, at once
            paquebot.wait_for(lambda dead=victim: _both(paquebot, dead), "a new worker", 20.0)  # type: ignore[misc]
        assert place.stat().st_ino == inode
        _greet(place, 20)


def test_workers_share_memory(pair: Paquebot) -> None:
    for worker in pair.workers().values():
        sizes = dict(line.split()[:2] for line in Path(f"/proc/{worker}/smaps_rollup").read_text().splitlines()[1:])
        assert int(sizes["Private_Dirty:"]) < 0.6 * int(sizes["Rss:"]), sizes


def _greet(place: Path, times: int) -> None:
    """Be greeted so often at a socket."""
    for _ in range(times):
        with SmtpClient(place) as client:
            client.expect("220")
            client.command("QUIT", "221")


def _both(paquebot: Paquebot, dead: int) -> bool:
    return len(set(paquebot.workers().values()) - {dead}) == 2


def _lives(pid: int) -> bool:
    try:
        return _status(pid)["State"][0] != "Z"
    except OSError:
        return False


def _parent(pid: int) -> int:
    return int(_status(pid)["PPid"])


def _status(pid: int) -> dict[str, str]:
    lines = (line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return {name: value.strip() for name, value in lines}


def _commits(paquebot: Paquebot, worker: int) -> float:
    """Ask one worker for its own count, by its control socket."""
    with socket.socket(socket.AF_UNIX) as asking:
        asking.connect(str(paquebot.runtime_directory / f"worker-{worker}.sock"))
        asking.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        text = b"".join(iter(lambda: asking.recv(65_536), b"")).decode()
    samples = (line for line in text.splitlines() if line.startswith("paquebot_smtp_message_size_bytes_count"))
    return sum(float(line.rsplit(" ", 1)[1]) for line in samples if 'direction="in"' in line)
