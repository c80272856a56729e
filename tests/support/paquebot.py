"""A running Paquebot: started as people start it, seen from outside only.

Its configuration is written as the operator writes it (`paquebot_config`); everything else goes through ports, log
lines, the command line and the files it delivers.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from paquebot_mta.config.directory import write_directory

from .http_client import fetch, is_ok
from .paquebot_config import PASSWORD, PaquebotSettings, Ports, configuration
from .processes import LOOPBACK, CommandResult, PeerError, PeerProcess, free_port, run_command, wait_until
from .smtp_tools import SwaksRun, swaks

Entry = dict[str, Any]
"""A log line, or an envelope of the queue, as its JSON says."""


class Paquebot:
    """One instance below `directory`; made by `running_paquebot`. After `stop` or `kill`, `restart` finds the queue."""

    def __init__(self, directory: Path, settings: PaquebotSettings) -> None:
        self.directory = directory
        self.settings = settings
        self.ports = Ports(free_port(), free_port(), free_port())
        self.config_directory = directory / "config"
        self.runtime_directory = directory / "run"
        self.generation = 0
        self.log_path = directory / "paquebot.log"
        self.expected_faults: tuple[str, ...] = ()
        self.configure(settings)
        self.process = self._start()

    def _start(self) -> PeerProcess:
        process = PeerProcess(self._argv(), self.log_path)
        try:
            process.wait_for(self.is_ready, "readiness", timeout_seconds=30.0)
        except PeerError:
            process.kill()
            raise
        return process

    def _argv(self) -> list[str]:
        places = {"--config": self.config_directory, "--spool": self.directory / "spool"}
        options = {
            **places,
            "--runtime": self.runtime_directory,
            "--workers": self.settings.workers,
            "--admin": f"{LOOPBACK}:{self.ports.admin}",
            "--log-format": "json",
            "--grace-seconds": self.settings.grace_seconds,
            **({"--log-level": self.settings.log_level} if self.settings.log_level else {}),
        }
        flat = (str(part) for option in options.items() for part in option)
        return [sys.executable, "-m", "paquebot_mta", "mta", *flat]

    # What it is told.

    def configure(self, settings: PaquebotSettings) -> None:
        """Swap the configuration directory, as the kubelet does; it takes a moment until it is in force."""
        self.settings = settings
        self.write(configuration(self.directory, self.ports, settings, self.generation + 1))

    def change(self, **settings: Any) -> None:
        """Change some settings and wait until they are in force."""
        self.configure(replace(self.settings, **settings))
        self.process.wait_for(lambda: self.config()["generation"] == self.generation, "the new configuration", 5.0)

    def write(self, files: dict[str, bytes]) -> None:
        """Make these files the configuration, good or bad."""
        write_directory(self.config_directory, files)
        self.generation += 1

    def stop(self, timeout_seconds: float = 30.0) -> int:
        """End it by SIGTERM and return its exit status; it is killed (-9) after the timeout."""
        return self.process.terminate(timeout_seconds)

    def kill(self) -> None:
        """End it and its workers by SIGKILL."""
        self.process.kill()

    def restart(self) -> None:
        """Start it again on the same spool and ports, and wait until it is ready."""
        self.process = self._start()

    def command(self, *arguments: str) -> list[str]:
        """Return the command line that asks this instance."""
        return [sys.executable, "-m", "paquebot_mta", *arguments, "--runtime", str(self.runtime_directory)]

    def cli(self, *arguments: str) -> CommandResult:
        """Run the command line against this instance."""
        return run_command(self.command(*arguments), timeout_seconds=20.0)

    def submit(self, sender: str, recipients: list[str], *options: str, content: bytes | None = None) -> SwaksRun:
        """Submit a message as the user `sender`, over TLS."""
        auth = ["--tls", "--auth", "PLAIN", "--auth-user", sender, "--auth-password", PASSWORD]
        return swaks(self.ports.submission, sender, recipients, *auth, *options, content=content)

    def send(self, sender: str, recipients: list[str], *options: str, content: bytes | None = None) -> SwaksRun:
        """Send a message to the MX listener, as any stranger may."""
        return swaks(self.ports.mx, sender, recipients, *options, content=content)

    # What it tells.

    def get(self, path: str) -> tuple[int, bytes]:
        """Ask the admin port; return status and body. Raises OSError when nothing listens."""
        return fetch(self.ports.admin, path)

    def is_ready(self) -> bool:
        """Tell whether it says that it is ready."""
        return is_ok(self.ports.admin, "/readyz")

    def config(self) -> Entry:
        """Return what the admin port says about its configuration."""
        found: Entry = json.loads(self.get("/config")[1])
        return found

    def metrics(self) -> list[Sample]:
        """Return all samples of all metrics."""
        families = text_string_to_metric_families(self.get("/metrics")[1].decode())
        return [sample for family in families for sample in family.samples]

    def metric(self, name: str, **labels: str) -> float:
        """Return the sum of a metric's samples that have these labels."""
        samples = (sample for sample in self.metrics() if sample.name == name)
        return sum(sample.value for sample in samples if labels.items() <= sample.labels.items())

    def log_lines(self, **fields: object) -> list[Entry]:
        """Return the log lines that have these fields, oldest first."""
        lines = (json.loads(line) for line in self.log_path.read_text().splitlines() if line.startswith("{"))
        return [line for line in lines if fields.items() <= line.items()]

    def story(self, msgid: str) -> list[str]:
        """Return the names of the events that one message's id tells, oldest first."""
        return [str(line["event"]) for line in self.log_lines(msgid=msgid)]

    def faults(self) -> list[str]:
        """Return what no good run says: errors, tracebacks, anything that is no log line; but for what is expected."""
        lines = self.log_path.read_text(errors="replace").splitlines()
        bad = [line for line in lines if not line.startswith("{") or '"level":"error"' in line]
        return [line for line in bad if not any(text in line for text in self.expected_faults)]

    def queue(self) -> list[Entry]:
        """Return the queue as the command line shows it."""
        found: list[Entry] = json.loads(self.cli("show", "queue", "--json").checked().stdout)
        return found

    def workers(self) -> dict[str, int]:
        """Return the process ids of the workers that answer, by name."""
        found = self.cli("show", "status", "--json")
        return {each["worker"]: each["pid"] for each in json.loads(found.stdout or b"[]")}

    def wait_for(self, ready: Callable[[], bool], what: str, timeout_seconds: float = 15.0) -> None:
        """Wait until `ready()`; the error shows the log's end."""
        self.process.wait_for(ready, what, timeout_seconds)

    def wait_for_empty_queue(self, timeout_seconds: float = 20.0) -> None:
        """Wait until nothing is left to deliver; the error shows what is."""
        # The gauge is cheap to poll; the command line has the last word.
        try:
            self.wait_for(lambda: self.metric("paquebot_queue_messages") == 0, "an empty queue", timeout_seconds)
            wait_until(lambda: not self.queue(), "an empty queue", 5.0)
        except PeerError as error:
            raise PeerError(f"{error}\nleft:\n{self.cli('show', 'queue').stdout[:4_000].decode()}") from None

    def wait_for_log(self, event: str, count: int = 1, timeout_seconds: float = 10.0, **fields: object) -> list[Entry]:
        """Wait until so many log lines are there, and return them."""
        what = f"{count} log lines {event} with {fields}"
        self.wait_for(lambda: len(self.log_lines(event=event, **fields)) >= count, what, timeout_seconds)
        return self.log_lines(event=event, **fields)

    def maildir(self, user: str) -> Path:
        """Return the maildir of an address."""
        local_part, _, domain = user.partition("@")
        return self.directory / "mail" / domain / local_part

    def delivered(self, user: str, folder: str = "") -> list[bytes]:
        """Return the messages in the maildir of an address, oldest first, as they lie on disk."""
        new = self.maildir(user) / folder / "new"
        found = []
        for path in new.iterdir() if new.is_dir() else ():
            found.append((path.stat().st_mtime_ns, path.read_bytes()))
        return [content for _, content in sorted(found)]

    def wait_for_delivered(self, user: str, marker: bytes = b"", count: int = 1, timeout: float = 15.0) -> list[bytes]:
        """Wait until the maildir has `count` messages that hold `marker`, and return these."""

        def matching() -> list[bytes]:
            return [content for content in self.delivered(user) if marker in content]

        self.wait_for(lambda: len(matching()) >= count, f"{count} messages of {user} with {marker!r}", timeout)
        return matching()


@contextmanager
def running_paquebot(directory: Path, settings: PaquebotSettings | None = None) -> Iterator[Paquebot]:
    """Run an instance in `directory` (see `peer_directory`) until the end of the block.

    Raises `PeerError` at the end when it has logged an error or printed what is no log line.
    """
    directory.mkdir(exist_ok=True)
    paquebot = Paquebot(directory, settings or PaquebotSettings())
    try:
        yield paquebot
    finally:
        paquebot.stop()
    if paquebot.faults():
        raise PeerError("it logged faults:\n" + "\n".join(paquebot.faults()[:20]))
