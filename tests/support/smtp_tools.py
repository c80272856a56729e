"""The classic command line tools of SMTP testing: smtp-source, smtp-sink and swaks.

smtp-source and smtp-sink are of Debian's postfix package. All talk to loopback.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .processes import LOOPBACK, CommandResult, PeerError, PeerProcess, find_program, free_port, run_command


@dataclass(frozen=True)
class SourceRun:
    """What smtp-source did: how many messages were all accepted, and in what time."""

    messages: int
    elapsed_seconds: float

    @property
    def messages_per_second(self) -> float:
        """Accept rate, as the sender sees it."""
        return self.messages / self.elapsed_seconds


@dataclass(frozen=True)
class SourceLoad:
    """A load for smtp-source: sessions in parallel, messages in all, content length, and who writes to whom.

    With `reuses_connections` a session sends one message after another, else each message has its own connection.
    `numbers_recipients` makes each recipient different (smtp-source puts a number before the address).
    """

    sessions: int = 20
    messages: int = 1000
    length_bytes: int = 4096
    sender: str = "source@client.test"
    recipient: str = "alice@example.test"
    recipients_per_message: int = 1
    reuses_connections: bool = False
    numbers_recipients: bool = False

    def argv(self, port: int) -> list[str]:
        """Return the command line towards `port` of loopback."""
        numbers = ["-s", str(self.sessions), "-m", str(self.messages), "-l", str(self.length_bytes)]
        people = ["-f", self.sender, "-t", self.recipient, "-r", str(self.recipients_per_message)]
        flags = ["-d"] * self.reuses_connections + ["-N"] * self.numbers_recipients
        return [find_program("smtp-source"), "-M", "client.test", *flags, *numbers, *people, f"{LOOPBACK}:{port}"]


def run_source(port: int, load: SourceLoad | None = None, *, timeout_seconds: float = 60.0) -> SourceRun:
    """Send a load to its end. Raises `PeerError` when a message isn't accepted (smtp-source stops at the first)."""
    chosen = load or SourceLoad()
    started = time.monotonic()
    run_command(chosen.argv(port), timeout_seconds=timeout_seconds).checked()
    return SourceRun(chosen.messages, time.monotonic() - started)


def start_source(port: int, load: SourceLoad, log_path: Path) -> PeerProcess:
    """Start a load that goes on in the background, for a test that disturbs the server meanwhile."""
    return PeerProcess(load.argv(port), log_path)


class SmtpSink:
    """A running smtp-sink; made by `running_sink`."""

    def __init__(self, port: int, process: PeerProcess, directory: Path) -> None:
        self.port = port
        self.process = process
        self._directory = directory

    def dumped(self) -> list[bytes]:
        """Return the messages it has kept (only with `keeps_messages`), each after smtp-sink's own X- headers."""
        return [path.read_bytes() for path in sorted(self._directory.glob("dump.*"))]

    def count(self) -> int:
        """Return how many messages it has accepted, as its running counter says."""
        counts = re.findall(r"mesg=(\d+)\r", self.process.log_end())
        return int(counts[-1]) if counts else 0

    def wait_for_count(self, count: int, timeout_seconds: float = 30.0) -> None:
        """Wait until it has accepted `count` messages. Raises `PeerError` after the timeout."""
        self.process.wait_for(lambda: self.count() >= count, f"{count} messages", timeout_seconds)


@contextmanager
def running_sink(
    directory: Path, *, port: int = 0, keeps_messages: bool = False, options: Sequence[str] = ()
) -> Iterator[SmtpSink]:
    """Run smtp-sink, which takes all mail, until the end of the block; port 0 chooses a free one.

    `options` make it misbehave, for example `-f RCPT` (450 soft), `-r DATA` (500 hard), `-q MAIL` (disconnect),
    `-w 2` (wait seconds before the reply to DATA), `-L` (LMTP), `-p` (no PIPELINING); see smtp-sink(1).
    """
    directory.mkdir(exist_ok=True)
    chosen = port or free_port()
    kept = ["-d", f"{directory}/dump."] if keeps_messages else []
    # It refuses to run as root; the user `mail` is in every Debian.
    user = ["-u", "mail"] if os.geteuid() == 0 else []
    directory.chmod(0o777)
    argv = [find_program("smtp-sink"), "-c", *user, *kept, *options, f"{LOOPBACK}:{chosen}", "200"]
    with PeerProcess(argv, directory / "smtp-sink.log", cwd=directory) as process:
        process.wait_for_port(chosen)
        yield SmtpSink(chosen, process, directory)


@dataclass(frozen=True)
class SwaksRun:
    """What swaks saw: its exit status (0 means that the message was accepted) and the transcript of the session."""

    returncode: int
    transcript: str

    def checked(self) -> SwaksRun:
        """Return itself, or raise `PeerError` with the transcript when the message wasn't accepted."""
        if self.returncode != 0:
            raise PeerError(f"swaks exited with {self.returncode}:\n{self.transcript}")
        return self


def swaks(
    target: int | Path, sender: str, recipients: Sequence[str], *options: str, content: bytes | None = None
) -> SwaksRun:
    """Send a message with swaks to a port of loopback or to a unix socket, and return what happened.

    `content` is a whole message with CRLF line ends, sent as it is; without it swaks writes one. `options` are swaks'
    own, such as `--tls`, `--auth PLAIN --auth-user U --auth-password P`, `--protocol LMTP`, `--quit-after RCPT`.
    """
    where = ["--socket", str(target)] if isinstance(target, Path) else ["--server", LOOPBACK, "--port", str(target)]
    people = ["--from", sender, "--to", ",".join(recipients), "--helo", "client.test"]
    data = [] if content is None else ["--data", "-", "--no-data-fixup"]
    done: CommandResult = run_command(
        [find_program("swaks"), "--timeout", "20", *where, *people, *data, *options], stdin=_stuffed(content or b"")
    )
    return SwaksRun(done.returncode, (done.stdout + done.stderr).decode(errors="replace"))


def _stuffed(content: bytes) -> bytes:
    """Return content as DATA sends it, the final dot included (RFC 5321, 4.5.2): swaks by itself would change it."""
    return (b"\r\n" + content).replace(b"\r\n.", b"\r\n..")[2:] + b".\r\n"
