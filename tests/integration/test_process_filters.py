"""Programs that filter, and subscribers, in a whole Paquebot: sessions in and out, deaths, and what was recorded."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from paquebot_mta.config.filters import Filter, Process
from paquebot_mta.config.reports import Subscriber
from tests.support.fake_mx import FakeMx
from tests.support.paquebot import Paquebot, running_paquebot
from tests.support.paquebot_config import ALICE, FAR, PaquebotSettings
from tests.support.processes import PeerProcess, run_command, wait_until
from tests.support.smtp_client import SmtpClient

pytestmark = pytest.mark.integration
PROBE = Path(__file__).parents[1] / "conformance" / "filters" / "probe.py"
EARS = """
import sys
log = open(sys.argv[1], "a", buffering=1)
for line in sys.stdin:
    log.write(line)
    if line == "config|ready\\n":
        print("register|report|smtp-out|*", "register|ready", sep="\\n", flush=True)
"""


LISTENER = """
import socket, sys
with socket.socket(socket.AF_UNIX) as listening, open(sys.argv[2], "ab", buffering=0) as copy:
    listening.bind(sys.argv[1])
    listening.listen()
    connection, _ = listening.accept()
    while data := connection.recv(65536):
        copy.write(data)
"""
SLEEPER = """
[ -e "$0/woken" ] && exec cat > "$0/awake"
while [ ! -e "$0/woken" ]; do sleep 0.05; done
"""


@pytest.fixture(scope="module")
def filtered(directory: Path, settings: PaquebotSettings) -> Iterator[Paquebot]:
    ears = directory / "ears.py"
    ears.write_text(EARS)
    commands = {"probe": (str(PROBE), str(directory / "heard")), "ears": (str(ears), str(directory / "out"))}
    filters = {name: Filter(kind=Process(command=(sys.executable, *each))) for name, each in commands.items()}
    reports = {
        "record": Subscriber(file=str(directory / "record")),
        "program": Subscriber(command=("/bin/sh", "-c", f"cat > {directory}/copied")),
        "sleeper": Subscriber(command=("/bin/sh", "-c", SLEEPER, str(directory))),
        "listener": Subscriber(socket=str(directory / "socket")),
    }
    chosen = replace(
        settings, filters=filters, listener_filters=("probe",), relay_filters=("ears",), reports=reports
    )  # fmt: skip
    listening = [sys.executable, "-c", LISTENER, str(directory / "socket"), str(directory / "listened")]
    with (
        PeerProcess(listening, directory / "listener.log"),
        running_paquebot(directory / "filtered", chosen) as running,
    ):
        running.expected_faults = ('"filter.crashed"',)
        yield running


def _events(path: Path, field: int) -> list[str]:
    return [line.split("|")[field] for line in path.read_text().splitlines() if "report|" in line]


def test_a_filter_of_a_relay_hears_of_outgoing_sessions(filtered: Paquebot, far_mx: FakeMx, directory: Path) -> None:
    filtered.send(ALICE, [f"out@{FAR}"]).checked()
    wait_until(lambda: "tx-commit" in _events(directory / "out", 4), "the report of the delivery", 20.0)
    events = _events(directory / "out", 4)
    order = [event for event in events if not event.startswith("protocol-")]
    wanted = ["link-connect", "link-greeting", "link-identify", "tx-begin", "tx-mail", "tx-envelope", "tx-rcpt"]
    assert [event for event in order if event in wanted][: len(wanted)] == wanted
    assert set(_events(directory / "out", 3)) == {"smtp-out"}


def test_reports_are_recorded_in_order_and_can_be_replayed(filtered: Paquebot, directory: Path) -> None:
    filtered.send("joe@else.test", [ALICE]).checked()
    record = directory / "record"
    wait_until(lambda: _events(record, 5).count("link-disconnect") >= 1, "the end of the session in the record")
    numbers = [int(line.split("|", 1)[0]) for line in record.read_text().splitlines()]
    assert numbers == list(range(1, len(numbers) + 1))
    again = directory / "again"
    program = f"{sys.executable} {PROBE} {again}"
    done = run_command([sys.executable, "-m", "paquebot_mta", "log", "replay", str(record), "--to", program]).checked()
    assert b" 0 missing" in done.stderr
    told = [line.partition("|smtp-in|")[2] for line in again.read_text().splitlines() if line.startswith("report")]
    heard = (directory / "heard").read_text()
    assert told
    assert all(line in heard for line in told if "link-connect" in line)


def _untimed(path: Path) -> list[list[str]]:
    """Lines but for their times, which each subscriber's are of its own."""
    lines = (line.split("|") for line in path.read_text().splitlines()) if path.exists() else ()
    return [line[:3] + line[4:] for line in lines]


def test_a_program_and_a_socket_are_told_what_the_file_is(filtered: Paquebot, directory: Path) -> None:
    filtered.send("joe@else.test", [ALICE]).checked()
    record = directory / "record"
    wait_until(lambda: _untimed(directory / "copied") == _untimed(record), "the program's copy")
    wait_until(lambda: _untimed(directory / "listened") == _untimed(record), "the listener's copy")
    assert _events(directory / "listened", 5).count("link-disconnect") >= 1


def test_a_secret_after_a_refused_auth_is_in_no_record(filtered: Paquebot, directory: Path) -> None:
    with SmtpClient(filtered.ports.mx) as client:
        client.expect("220")
        client.command("EHLO client.test", "250")
        for line in ("AUTH LOGIN", "Ym9i", "c2VjcmV0"):  # not over TLS, so it isn't offered: some go on
            client.command(line, "5")
        client.command("NOOP recorded", "250")
        client.command("QUIT", "221")
    record = directory / "record"
    wait_until(lambda: "NOOP recorded" in record.read_text(), "the session in the record")
    assert "********" in record.read_text()
    for path in (record, directory / "copied", directory / "heard", filtered.log_path):
        assert "c2VjcmV0" not in path.read_text()


def test_a_program_that_ends_loses_what_it_was_given_last_and_that_is_counted(
    filtered: Paquebot, directory: Path
) -> None:
    for _ in range(20):
        with SmtpClient(filtered.ports.mx) as client:
            client.expect("220")
            client.command("EHLO client.test", "250")
            for _ in range(40):
                client.command("NOOP " + "x" * 400, "250")
    (directory / "woken").touch()
    record = directory / "record"
    wait_until(lambda: _untimed(directory / "awake")[-1:] == _untimed(record)[-1:], "the next one's lines")
    lines = record.read_bytes().splitlines(keepends=True)
    missing = len(lines) - len(_untimed(directory / "awake"))
    assert 0 < missing < len(lines) / 2
    assert len(b"".join(lines[:missing])) < 65_536, "what it had been given"
    assert 0 < filtered.metric("paquebot_report_dropped_total", consumer="subscriber") <= missing


def test_a_filter_that_is_killed_costs_a_4yz_and_nothing_else(filtered: Paquebot, directory: Path) -> None:
    pid = next(pid for pid in _children(filtered) if "heard" in _command_line(pid))
    os.kill(pid, signal.SIGSTOP)
    os.kill(pid, signal.SIGKILL)
    filtered.wait_for_log("filter.crashed", filter="probe")
    run = filtered.send("joe@else.test", [ALICE])
    # It may be back by then; a session can't begin without a filter of connections, which is told by a 421.
    assert run.returncode == 0 or "451 4.7.1" in run.transcript or "421 4.7.1" in run.transcript
    filtered.wait_for_log("filter.started", 2, filter="probe")
    filtered.wait_for(filtered.is_ready, "readiness")
    filtered.send("joe@else.test", [ALICE]).checked()
    assert filtered.process.returncode is None
    assert filtered.metric("paquebot_filter_up", filter="probe") == 1


def _children(paquebot: Paquebot) -> list[int]:
    """Processes whose parent is a worker of this instance."""
    workers = set(paquebot.workers().values())
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) in workers:
            found.append(int(path.parent.name))
    return found


def _command_line(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()


def test_no_process_is_left_at_the_end(filtered: Paquebot) -> None:
    pids = _children(filtered)
    assert pids
    assert filtered.stop() == 0
    wait_until(lambda: not [pid for pid in pids if Path(f"/proc/{pid}").exists()], "the end of all filters")
