"""The command line over real sockets: what it prints, what it asks of the workers, how it ends."""

import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec
import pytest
from click.testing import CliRunner, Result

from paquebot_mta.admin.cli import BUILT_IN, main
from tests.mta.admin.fake_controls import CONTENT, EVPID, MSGID, FakeControls, serving


@pytest.fixture
def workers(tmp_path: Path) -> Iterator[tuple[FakeControls, FakeControls]]:
    pair = FakeControls(0), FakeControls(1)
    with serving(tmp_path, *pair):
        yield pair


@pytest.fixture
def runtime(tmp_path: Path) -> str:
    return str(tmp_path)


def _run(runtime: str, *arguments: str) -> Result:
    return CliRunner().invoke(main, arguments, env={"PAQUEBOT_RUNTIME": runtime})


@pytest.mark.parametrize(
    "command",
    [
        *(
            "show queue",
            "show status",
            "show stats",
            "show routes",
            "show hosts",
            f"show message {MSGID}",
            f"show envelope {EVPID}",
        ),
        *("schedule all", "remove all", "suspend all", "pause smtp", "resume smtp", "resume all", "trace"),
    ],
)
def test_nothing_running_is_exit_code_3_with_advice(runtime: str, command: str) -> None:
    result = _run(runtime, *command.split())
    assert result.exit_code == 3
    assert result.stdout == ""
    assert "nothing is running" in result.stderr
    assert "paquebot run" in result.stderr


@pytest.mark.usefixtures("workers")
def test_the_queues_of_all_workers_are_merged_oldest_first(runtime: str) -> None:
    result = _run(runtime, "show", "queue", "--json")
    entries = json.loads(result.stdout)
    assert result.exit_code == 0
    assert [entry["createdAt"] for entry in entries] == [1000.0, 1001.0, 1002.0, 1003.0]
    assert json.loads(_run(runtime, "show", "queue", "--jsonl").stdout.splitlines()[0]) == entries[0]


def test_the_queue_as_a_table_has_a_line_an_envelope_and_no_control_character(
    runtime: str, workers: tuple[FakeControls, FakeControls]
) -> None:
    workers[0].error = "550 \x1b[2J\x9b no\u202e"
    result = _run(runtime, "show", "queue")
    lines = result.stdout.splitlines()
    assert len(lines) == 5
    assert lines[0].split()[:2] == ["evpid", "state"]
    assert "user1@example.net" in result.stdout
    assert r"550 \x1b[2J\x9b no\u202e" in result.stdout
    assert result.stdout.replace("\n", "").isprintable()


def test_an_empty_queue_is_an_empty_array_and_success(runtime: str, workers: tuple[FakeControls, FakeControls]) -> None:
    workers[0].entries = workers[1].entries = 0
    result = _run(runtime, "show", "queue", "--json")
    assert (result.exit_code, json.loads(result.stdout)) == (0, [])
    assert "the queue is empty" in _run(runtime, "show", "queue").stderr


def test_a_worker_that_breaks_off_is_named_and_fails_the_command(
    runtime: str, workers: tuple[FakeControls, FakeControls]
) -> None:
    workers[1].entries, workers[1].fails_after = 4_000, 3_000
    result = _run(runtime, "show", "queue", "--jsonl")
    assert result.exit_code == 1
    assert "worker-1: broke off" in result.stderr
    assert len(result.stdout.splitlines()) > 2_000


def test_a_socket_without_a_worker_is_told_and_the_others_answer(tmp_path: Path, runtime: str) -> None:
    with serving(tmp_path, FakeControls(1)):
        (tmp_path / "worker-0.sock").hardlink_to(tmp_path / "worker-1.sock")
    with serving(tmp_path, FakeControls(1)):
        result = _run(runtime, "show", "status", "--json")
    assert (result.exit_code, [each["worker"] for each in json.loads(result.stdout)]) == (0, ["worker-1"])
    assert "worker-0: nothing listens" in result.stderr


def test_a_message_comes_from_the_worker_that_has_it_byte_by_byte(
    runtime: str, workers: tuple[FakeControls, FakeControls]
) -> None:
    workers[0].has_message = False
    assert _run(runtime, "show", "message", MSGID).stdout_bytes == CONTENT
    assert _run(runtime, "show", "message", EVPID).stdout_bytes == CONTENT


@pytest.mark.usefixtures("workers")
@pytest.mark.parametrize("command", ["show message 00000001", "show envelope 0000000100000001", "remove 00000001"])
def test_what_is_not_in_the_queue_is_exit_code_1(runtime: str, command: str) -> None:
    result = _run(runtime, *command.split())
    assert (result.exit_code, result.stdout) == (1, "")
    assert "queue" in result.stderr


@pytest.mark.parametrize("command", ["show message x", "show envelope 1", "remove some", "pause all", "resume x"])
def test_wrong_usage_is_exit_code_2(runtime: str, command: str) -> None:
    assert _run(runtime, *command.split()).exit_code == 2


def test_an_envelope_is_shown_with_all_its_fields(runtime: str, workers: tuple[FakeControls, FakeControls]) -> None:
    workers[1].has_message = False
    text = _run(runtime, "show", "envelope", EVPID).stdout
    assert "message.reverse_path" in text
    assert r"try \x1blater" in text
    assert json.loads(_run(runtime, "show", "envelope", EVPID, "--json").stdout)[0]["evpid"] == EVPID


@pytest.mark.usefixtures("workers")
def test_counts_are_added_up_and_uptime_is_the_longest(runtime: str) -> None:
    assert json.loads(_run(runtime, "show", "stats", "--json").stdout) == [{"uptime": 11.0, "smtp.session": 10.0}]
    assert _run(runtime, "show", "stats").stdout.splitlines()[1].split() == ["smtp.session", "10"]


@pytest.mark.usefixtures("workers")
def test_routes_name_their_worker(runtime: str) -> None:
    routes = json.loads(_run(runtime, "show", "routes", "--json").stdout)
    assert [(route["worker"], route["destination"]) for route in routes] == [
        ("worker-0", "example.net"),
        ("worker-1", "example.net"),
    ]
    assert "example.net" in _run(runtime, "show", "routes").stdout


def test_status_tells_what_is_wrong(runtime: str, workers: tuple[FakeControls, FakeControls]) -> None:
    workers[0].current = msgspec.structs.replace(
        workers[0].current, ready=False, rejected_digest="bad", rejected_reason="service.rules[2]"
    )
    text = _run(runtime, "show", "status").stdout
    assert "not ready" in text
    assert "configuration bad rejected: service.rules[2]" in text


@pytest.mark.parametrize("target", ["all", "192.0.2.1", "[192.0.2.1]"])
def test_routes_are_resumed_everywhere(runtime: str, workers: tuple[FakeControls, FakeControls], target: str) -> None:
    result = _run(runtime, "resume", "route", target)
    assert (result.exit_code, result.output) == (0, "4 routes resumed\n")
    assert all(("resume-route", target.strip("[]")) in worker.calls for worker in workers)


@pytest.mark.usefixtures("workers")
def test_a_route_that_does_not_rest_is_an_error(runtime: str) -> None:
    result = _run(runtime, "resume", "route", "3f0a91c2")
    assert (result.exit_code, "does not rest" in result.output) == (1, True)


@pytest.mark.parametrize("command", ["resume route", "resume mta all", "resume route x", "resume route 1.2.3"])
def test_a_route_is_named_as_it_is_listed(runtime: str, command: str) -> None:
    assert _run(runtime, *command.split()).exit_code == 2


@pytest.mark.usefixtures("workers")
def test_hosts_name_their_worker(runtime: str) -> None:
    hosts = json.loads(_run(runtime, "show", "hosts", "--json").stdout)
    assert [(host["worker"], host["address"], host["connections"]) for host in hosts] == [
        ("worker-0", "192.0.2.1", 1),
        ("worker-1", "192.0.2.1", 1),
    ]
    assert "mx.example.net" in _run(runtime, "show", "hosts").stdout


@pytest.mark.usefixtures("workers")
def test_filters_say_where_they_are_asked_and_what_is_wrong(runtime: str) -> None:
    filters = json.loads(_run(runtime, "show", "filters", "--json").stdout)
    assert [(each["worker"], each["name"], each["failed"]) for each in filters] == [
        ("worker-0", "mail/spam", 2),
        ("worker-1", "mail/spam", 2),
    ]
    shown = _run(runtime, "show", "filters").stdout
    assert "Shadow" in shown
    assert "listener mx" in shown


@pytest.mark.parametrize("act", ["schedule", "remove", "suspend", "resume"])
def test_an_act_reaches_all_workers(runtime: str, workers: tuple[FakeControls, FakeControls], act: str) -> None:
    result = _run(runtime, act, "ALL")
    assert result.exit_code == 0
    assert result.stdout.startswith("2 envelopes ")
    assert [worker.calls for worker in workers] == [[(act, "all")]] * 2


def test_parts_are_paused_and_resumed_everywhere(runtime: str, workers: tuple[FakeControls, FakeControls]) -> None:
    assert "worker-1: mta paused (paused now: mta)" in _run(runtime, "pause", "mta").stdout
    assert _run(runtime, "resume", "mta").exit_code == 0
    assert [worker.calls for worker in workers] == [[("pause", "mta"), ("resume-part", "mta")]] * 2


def test_trace_shows_the_events_of_all_workers_that_name_the_target(tmp_path: Path, runtime: str) -> None:
    workers = FakeControls(0), FakeControls(1)
    with serving(tmp_path, *workers) as loop:
        for worker in workers:
            for address in ("bob@example.test", "Alice@example.test"):
                event = {"ts": "2026-01-02T03:04:05.678901Z", "event": "smtp-in.tx-mail", "address": address}
                event |= {"reply": "250 ok \x1b[2J", "pod": "p"}
                loop.call_soon_threadsafe(worker.events.put_nowait, json.dumps(event).encode())
        result = _run(runtime, "trace", "alice@", "--lines", "2")
    expected = r'03:04:05.678901 smtp-in.tx-mail address=Alice@example.test reply="250 ok \u001b[2J"'
    assert result.stdout.splitlines() == [expected] * 2


def test_trace_as_json_is_a_line_an_event(tmp_path: Path, runtime: str) -> None:
    worker = FakeControls(0)
    with serving(tmp_path, worker) as loop:
        loop.call_soon_threadsafe(worker.events.put_nowait, '{"event": "é"}'.encode())
        result = _run(runtime, "trace", "--json", "--lines", "1")
    assert result.stdout == '{"event": "\\u00e9"}\n'


def test_every_command_has_help_with_an_example() -> None:
    pages = [[name] for name in BUILT_IN if name not in ("show", "queue")]
    pages.append(["queue", "keys"])
    pages += [
        ["show", name] for name in ("queue", "message", "envelope", "routes", "hosts", "filters", "stats", "status")
    ]
    for page in pages:
        result = CliRunner().invoke(main, [*page, "--help"])
        assert result.exit_code == 0
        assert f"Example:\n      paquebot {' '.join(page)}" in result.stdout


def test_a_command_whose_part_is_not_installed_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib.metadata import EntryPoint, EntryPoints

    entry = EntryPoint("lost", "paquebot_lost:command", "paquebot.commands")
    monkeypatch.setattr("paquebot_mta.admin.plugins.entry_points", lambda **_: EntryPoints([entry]))
    result = CliRunner().invoke(main, ["lost", "anything", "--at-all"])
    assert result.exit_code == 1
    assert "lost is not available: No module named 'paquebot_lost'" in result.stderr
    assert CliRunner().invoke(main, ["--help"]).exit_code == 0


def test_the_command_runs_as_a_program(tmp_path: Path, runtime: str) -> None:
    with serving(tmp_path, FakeControls(0)):
        program = [sys.executable, "-m", "paquebot_mta", "show", "status", "--json", "--runtime", runtime]
        done = subprocess.run(program, capture_output=True, timeout=30, check=True)
    assert json.loads(done.stdout)[0]["worker"] == "worker-0"


def test_a_terminal_gets_a_table_and_no_control_character_of_a_stranger(tmp_path: Path, runtime: str) -> None:
    worker = FakeControls(0)
    worker.error = "550 \x1b[31mred [bold]x[/bold]"
    ours, terminal = pty.openpty()
    with serving(tmp_path, worker), open(ours, "rb", buffering=0) as reader:
        program = [sys.executable, "-m", "paquebot_mta", "show", "queue", "--runtime", runtime]
        environment = {"COLUMNS": "200", "TERM": "xterm"}
        subprocess.run(program, stdin=terminal, stdout=terminal, timeout=30, check=True, env=environment)
        shown = reader.read(65_536).decode()
        os.close(terminal)
    assert "\x1b[31m" not in shown
    shown = click.unstyle(shown)
    assert [line.split()[0] for line in shown.splitlines()] == ["evpid", f"{MSGID}00000000", f"{MSGID}00000001"]
    assert r"550 \x1b[31mred [bold]x[/bold]" in shown


def test_help_imports_nothing_heavy() -> None:
    script = (
        "import sys\n"
        "from paquebot_mta.admin.cli import main\n"
        "main(['--help'], standalone_mode=False)\n"
        "heavy = {'aiohttp', 'rich', 'kopf', 'kubernetes', 'aiosmtpd', 'dns', 'prometheus_client', 'uvloop'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=30, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
