"""The README's first command: `paquebot run examples/quickstart`, the lines it prints, and a change while it runs."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.processes import LOOPBACK, PeerError, PeerProcess, accepts, free_port, wait_until
from tests.support.smtp_client import SmtpClient

pytestmark = pytest.mark.integration

QUICKSTART = Path(__file__).parents[2] / "examples" / "quickstart"
MX, SUBMISSION, ADMIN = 2525, 5870, 9025


@dataclass
class Quickstart:
    """A running quickstart: its working directory, its ports by the README's numbers, its process."""

    directory: Path
    ports: dict[int, int]
    process: PeerProcess

    @property
    def mail(self) -> Path:
        """The maildirs, below the working directory."""
        return self.directory / ".paquebot" / "mail" / "example.test"

    def shell(self, line: str) -> str:
        """Run a line that a person would copy, here and with this machine's paquebot."""
        if line.startswith(".venv/bin/"):
            line = str(Path(sys.executable).parent) + line.removeprefix(".venv/bin")
        done = subprocess.run(  # noqa: S602 - the line is ours, and meant for a shell
            line, shell=True, cwd=self.directory, capture_output=True, timeout=30, check=False
        )
        if done.returncode != 0:
            raise PeerError(f"{line}: {done.returncode}\n{(done.stdout + done.stderr).decode()}\n{self.process.log()}")
        return done.stdout.decode()

    def get(self, path: str) -> str:
        """Ask the admin port."""
        connection = http.client.HTTPConnection(LOOPBACK, self.ports[ADMIN], timeout=5)
        try:
            connection.request("GET", path)
            return connection.getresponse().read().decode()
        finally:
            connection.close()

    def in_box(self, user: str, marker: str) -> list[str]:
        """Return the messages of a mailbox that hold a text."""
        found = [path.read_text() for path in (self.mail / user / "new").glob("*")]
        return [text for text in found if marker in text]


def start(directory: Path, ports: dict[int, int]) -> PeerProcess:
    """Start it as the README says, but for the admin port."""
    paquebot = str(Path(sys.executable).parent / "paquebot")
    argv = [paquebot, "run", "quickstart", "--admin", f"{LOOPBACK}:{ports[ADMIN]}", "--log-format", "json"]
    process = PeerProcess(argv, directory / "run.log", cwd=directory, env={"PYTHONUNBUFFERED": "1"})
    process.wait_for_log("Ctrl-C stops it", 30.0)
    return process


@pytest.fixture(scope="module")
def quickstart(directory: Path) -> Iterator[Quickstart]:
    ports = {port: free_port() for port in (MX, SUBMISSION, ADMIN)}
    shutil.copytree(QUICKSTART, directory / "quickstart")
    service = directory / "quickstart" / "service.yaml"
    text = service.read_text()
    for documented, ours in ports.items():
        text = text.replace(f"port: {documented}", f"port: {ours}")
    service.write_text(text)
    running = Quickstart(directory, ports, start(directory, ports))
    with running.process:
        yield running
        assert running.process.terminate() == 0


def printed(quickstart: Quickstart, start_of_line: str) -> str:
    """Find the line to copy that the command has printed."""
    lines = [line.strip() for line in quickstart.process.log().splitlines()]
    return next(line for line in lines if start_of_line in line and not line.startswith("{"))


def test_the_printed_line_sends_a_message_and_the_other_one_shows_it(quickstart: Quickstart) -> None:
    quickstart.shell(printed(quickstart, "paquebot send --"))
    wait_until(lambda: bool(quickstart.in_box("alice", "Return-Path: ")), "the message")
    (stored,) = quickstart.in_box("alice", "Return-Path: ")
    fields = stored.partition("\n\n")[0]
    assert "\nDelivered-To: alice@example.test\n" in fields
    assert "\nReceived: from " in fields
    assert "\tby mail.example.test (Paquebot) with ESMTP" in fields
    shown = quickstart.shell(printed(quickstart, ".paquebot/mail/example.test/alice"))
    assert shown
    assert json.loads(quickstart.shell(".venv/bin/paquebot show queue --json")) == []
    assert "paquebot_deliveries_total{" in quickstart.get("/metrics")


def test_the_readme_line_for_submission_works(quickstart: Quickstart) -> None:
    credentials = quickstart.directory / ".paquebot" / "credentials.txt"
    assert credentials.stat().st_mode & 0o777 == 0o600
    line = (
        f".venv/bin/paquebot send --server 127.0.0.1:{quickstart.ports[SUBMISSION]} --starttls "
        "--ca .paquebot/tls/quickstart-tls.crt --user alice@example.test --password-file .paquebot/credentials.txt "
        "--from alice@example.test --to team@example.test --subject Hello --body 'From alice'"
    )
    quickstart.shell(line)
    wait_until(lambda: bool(quickstart.in_box("bob", "Subject: Hello")), "the message")
    (stored,) = quickstart.in_box("bob", "Subject: Hello")
    assert "with ESMTPSA id " in stored


def test_names_without_a_domain_are_those_of_the_hosted_one(quickstart: Quickstart) -> None:
    (quickstart.directory / "bare.eml").write_text("Subject: bare\nTo: alice\n\nx\n")
    quickstart.shell(".venv/bin/paquebot sendmail -f bob -t < bare.eml")
    wait_until(lambda: bool(quickstart.in_box("alice", "Subject: bare")), "the message")
    (stored,) = quickstart.in_box("alice", "Subject: bare")
    assert "Return-Path: <bob@example.test>\n" in stored
    assert "\nTo: alice@example.test\n" in stored
    with SmtpClient(quickstart.ports[MX]) as client:
        client.expect("220 mail.example.test")
        for line in ("EHLO client.test", "MAIL FROM:<joe@client.test>", "RCPT TO:<postmaster>"):
            client.command(line, "250")


def test_a_changed_manifest_is_in_force_and_a_mistake_is_named(quickstart: Quickstart) -> None:
    domain = quickstart.directory / "quickstart" / "domain.yaml"
    good = domain.read_text()
    digest = json.loads(quickstart.get("/config"))["digest"]
    domain.write_text(good.replace("mailboxes: [alice, bob]", "mailboxes: [alice, bob, carol]"))
    wait_until(lambda: json.loads(quickstart.get("/config"))["digest"] != digest, "the new configuration", 4.0)
    send = f".venv/bin/paquebot send --server 127.0.0.1:{quickstart.ports[MX]} --to carol@example.test --subject New"
    quickstart.shell(send)
    wait_until(lambda: bool(quickstart.in_box("carol", "Subject: New")), "the message")
    domain.write_text(good.replace("mailboxes:", "mailbocks:"))
    quickstart.process.wait_for_log("mailbocks")
    quickstart.shell(send)
    domain.write_text(good)


def test_it_stops_on_ctrl_c_and_finds_its_queue_again(quickstart: Quickstart) -> None:
    quickstart.shell(".venv/bin/paquebot pause mda")
    mx = quickstart.ports[MX]
    quickstart.shell(f".venv/bin/paquebot send --server 127.0.0.1:{mx} --to bob@example.test --subject Kept")
    (entry,) = json.loads(quickstart.shell(".venv/bin/paquebot show queue --json"))
    assert entry["recipient"] == "bob@example.test"
    quickstart.process.signal(signal.SIGINT)
    assert quickstart.process.wait(15.0) == 0
    quickstart.process = start(quickstart.directory, quickstart.ports)
    wait_until(lambda: bool(quickstart.in_box("bob", "Subject: Kept")), "the kept message")


def test_no_mta_is_left_behind_when_it_is_killed(quickstart: Quickstart) -> None:
    """Nobody could stop an orphan but by its number, and it would hold the ports of the next start."""
    os.kill(quickstart.process.pid, signal.SIGKILL)
    quickstart.process.wait(5.0)
    wait_until(lambda: not accepts(quickstart.ports[ADMIN]), "the end of the MTA", 20.0)
    quickstart.process = start(quickstart.directory, quickstart.ports)
    wait_until(lambda: accepts(quickstart.ports[ADMIN]), "the next start")
