"""`paquebot run`: a configuration is written, a child is started, changes are followed."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from paquebot_mta.config.codec import load
from paquebot_mta.config.directory import read_directory
from paquebot_operator.local import run
from paquebot_operator.local.build import build, snapshot
from paquebot_operator.local.child import command_line, exited, started, wait_ready
from paquebot_operator.local.state import State
from paquebot_operator.local.welcome import welcome
from tests.operator.builders import NOW, Json, domain, service

STOPS_WITH_7 = (
    "import signal, sys, time\n"
    "signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))\n"
    "print('up', flush=True)\n"
    "time.sleep(30)"
)


def write(directory: Path, *documents: Json) -> None:
    directory.mkdir(exist_ok=True)
    (directory / "all.yaml").write_text(yaml.safe_dump_all(documents))


def domains_in(state: State) -> set[str]:
    return set(load(read_directory(state.config)).domains)


def test_an_error_anywhere_refuses_the_whole(tmp_path: Path) -> None:
    write(tmp_path / "m", service(), domain(), domain("bad", domain="*"))
    built = build(tmp_path / "m", State(tmp_path / "s"), None, NOW)
    assert (built.files, built.config) == ({}, None)


def test_one_of_several_services_must_be_chosen(tmp_path: Path) -> None:
    second = service()
    second["metadata"] = {"name": "second", "namespace": "default"}
    write(tmp_path / "m", service(), second)
    state = State(tmp_path / "s")
    assert build(tmp_path / "m", state, None, NOW).config is None
    chosen = build(tmp_path / "m", state, run._key("second"), NOW).config
    assert chosen is not None
    assert chosen.service.name == "default/second"


def test_the_mta_is_started_with_the_options_that_it_has() -> None:
    arguments = command_line(State(Path(".paquebot")), 2, "127.0.0.1:9025", "json")
    assert arguments[1:] == [
        "-m", "paquebot_mta", "mta", "--config", ".paquebot/config", "--spool", ".paquebot/spool",
        "--runtime", ".paquebot/run", "--workers", "2", "--admin", "127.0.0.1:9025", "--log-format", "json",
        "--parent", str(os.getpid()),
    ]  # fmt: skip


def test_the_welcome_has_places_and_lines_to_copy(tmp_path: Path) -> None:
    write(tmp_path / "m", service(), domain())
    state = State(tmp_path / "s")
    text = "\n".join(welcome(build(tmp_path / "m", state, None, NOW), state, "127.0.0.1:9025"))
    assert "0.0.0.0:2525" in text
    assert "send --server 0.0.0.0:2525 --to alice@example.test" in text
    assert "cat /var/lib/paquebot/mail/example.test/alice/new/*" in text


def test_signals_reach_the_child_and_its_exit_code_comes_back() -> None:
    with started([sys.executable, "-c", STOPS_WITH_7.replace("print('up', flush=True)", "")]) as child:
        time.sleep(0.1)
        while exited(child, 0.05) is None:
            signal.raise_signal(signal.SIGTERM)
    assert child.returncode in {7, -signal.SIGTERM}


def test_a_child_that_a_signal_killed_exits_as_in_a_shell() -> None:
    with started([sys.executable, "-c", "import time; time.sleep(30)"]) as child:
        child.kill()
        assert exited(child, 5) == 128 + signal.SIGKILL


def test_no_child_is_left_behind_by_an_error() -> None:
    def fail() -> None:
        with started([sys.executable, "-c", "import time; time.sleep(30)"]) as child:
            children.append(child)
            raise ValueError("a fault")

    children: list[subprocess.Popen[bytes]] = []
    with pytest.raises(ValueError, match="a fault"):
        fail()
    assert children[0].returncode == -signal.SIGKILL


@contextmanager
def followed(directory: Path, state: State, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A run whose child is idle, in a thread; its child is ended after the test."""
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(30)"])
    monkeypatch.setattr(run, "POLL_SECONDS", 0.02)
    seen = snapshot(directory)
    first = build(directory, state, None, NOW)
    assert first.config is not None
    bound = run._places(first.config)
    run._apply(first, state, bound)
    thread = threading.Thread(target=run._follow, args=(directory, state, None, child, seen, bound))
    thread.start()
    try:
        yield
    finally:
        child.kill()
        thread.join()


def eventually(state: State, expected: set[str]) -> None:
    deadline = time.monotonic() + 10
    while domains_in(state) != expected and time.monotonic() < deadline:
        time.sleep(0.02)
    assert domains_in(state) == expected


def test_changes_are_followed_and_mistakes_leave_the_last_good_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    manifests, state = tmp_path / "m", State(tmp_path / "s")
    write(manifests, service(), domain())
    with followed(manifests, state, monkeypatch):
        eventually(state, {"example.test"})
        write(manifests, service(), domain(), domain("second", domain="second.example"))
        eventually(state, {"example.test", "second.example"})
        (manifests / "all.yaml").write_text("a: [\n")
        said = ""
        deadline = time.monotonic() + 10
        # It may look while the file is empty yet, and say what is wrong with that first.
        while ("InvalidYaml" not in said or "last good" not in said) and time.monotonic() < deadline:
            said += capfd.readouterr().err
            time.sleep(0.02)
        assert "InvalidYaml" in said
        assert domains_in(state) == {"example.test", "second.example"}
        write(manifests, service(), domain())
        eventually(state, {"example.test"})


def test_a_listener_that_needs_a_new_start_is_named(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    manifests, state = tmp_path / "m", State(tmp_path / "s")

    def apply(*listeners: Json) -> str:
        write(manifests, service(listeners=list(listeners)), domain())
        run._apply(build(manifests, state, None, NOW), state, bound)
        return capfd.readouterr().err

    mx = {"name": "mx", "port": 2525}
    bound = frozenset({("mx", "0.0.0.0", 2525)})
    assert "next start" not in apply(mx)
    assert "next start" not in apply(mx | {"proxyProtocol": {"trusted": ["127.0.0.0/8"]}})
    assert "until the next start: more." in apply(mx, {"name": "more", "port": 2526})
    assert "until the next start: mx." in apply(mx | {"port": 2527})


def test_an_mta_that_cannot_start_is_not_welcomed() -> None:
    with started([sys.executable, "-c", "raise SystemExit(3)"]) as child:
        assert wait_ready(child, "127.0.0.1:1") == 3


def test_an_mta_is_ready_when_its_admin_port_says_so() -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/readyz" else 404)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with started([sys.executable, "-c", "import time; time.sleep(30)"]) as child:
            assert wait_ready(child, f"127.0.0.1:{server.server_port}") is None
            child.kill()
        server.shutdown()
