"""A private instance of Debian's Postfix, as sender and as next hop.

Own configuration, queue and data directory below the given directory, chroot off, log in `postfix.log`; the
system's instance and /etc/postfix are never touched. Needs root and the users of Debian's package.
`postfix_config` has the policy.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from .postfix_config import MAILDIR, PostfixSettings, main_cf, master_cf
from .processes import CommandResult, PeerProcess, check_traversable, find_program, free_port, run_command

MASTER = "/usr/lib/postfix/sbin/master"


class QueuedRecipient(msgspec.Struct, frozen=True):
    """A recipient that waits in Postfix's queue, and why."""

    address: str
    delay_reason: str = ""


class QueuedMessage(msgspec.Struct, frozen=True):
    """A message in Postfix's queue, as `postqueue -j` tells it."""

    queue_name: str
    queue_id: str
    sender: str
    message_size: int
    recipients: tuple[QueuedRecipient, ...]


class Postfix:
    """A running Postfix; made by `running_postfix`."""

    def __init__(self, directory: Path, port: int, settings: PostfixSettings) -> None:
        self.port = port
        self.directory = directory
        self.config_directory = directory / "config"
        self.mail_directory = directory / "mail"
        self.settings = settings
        self._write_configuration()
        self._command("postfix", "check").checked()
        self.process = self._start()

    def _start(self) -> PeerProcess:
        return PeerProcess([MASTER, "-c", str(self.config_directory), "-d"], self.directory / "postfix.log")

    def restart(self) -> None:
        """Start it again on the same queue, after its end."""
        self.process = self._start()
        self.process.wait_for_port(self.port)

    def release(self) -> None:
        """Let go what its restrictions have put on hold, and try it now."""
        run_command([find_program("postsuper"), "-c", str(self.config_directory), "-H", "ALL"]).checked()
        self.flush()

    def _write_configuration(self) -> None:
        for name, mode in (("config", 0o755), ("queue", 0o755), ("data", 0o700), ("mail", 0o755)):
            (self.directory / name).mkdir(mode)
            (self.directory / name).chmod(mode)
        # Postfix keeps its data directory for itself, and its virtual(8) delivers as the unprivileged user `mail`.
        _give_to(self.directory / "data", "postfix")
        _give_to(self.mail_directory, "mail")
        (self.config_directory / "main.cf").write_text(main_cf(self.directory, self.settings))
        (self.config_directory / "master.cf").write_text(master_cf(self.port, self.settings))
        self.answer_recipients(dict(self.settings.recipient_replies))

    def _command(self, name: str, *arguments: str, stdin: bytes = b"") -> CommandResult:
        argv = [find_program(name), "-c", str(self.config_directory), *arguments]
        return run_command(argv, stdin=stdin, timeout_seconds=30.0)

    def answer_recipients(self, replies: dict[str, str]) -> None:
        """Answer RCPT for these addresses (or domains) so, like `450 4.2.1 later`, from the next connection on.

        The table is replaced by a rename: smtpd(8) looks before each connection whether its open table was unlinked.
        """
        source = self.config_directory / "recipients.new"
        source.write_text("".join(f"{address}\t{reply}\n" for address, reply in replies.items()))
        run_command([find_program("postmap"), "-c", str(self.config_directory), f"hash:{source}"]).checked()
        Path(f"{source}.db").rename(self.config_directory / "recipients.db")
        source.rename(self.config_directory / "recipients")

    def reload(self) -> None:
        """Make Postfix read its configuration again."""
        self._command("postfix", "reload").checked()

    def send(self, sender: str, recipients: Sequence[str], content: bytes, *, notify: str = "") -> None:
        """Submit a message by Postfix's own sendmail(1); `notify` is a DSN NOTIFY value such as `success,delay`."""
        argv = [find_program("sendmail"), "-C", str(self.config_directory), "-i", "-f", sender]
        options = ["-N", notify] if notify else []
        run_command([*argv, *options, "--", *recipients], stdin=content).checked()

    def flush(self) -> None:
        """Try every deferred message again now."""
        self._command("postqueue", "-f").checked()

    def queue(self) -> tuple[QueuedMessage, ...]:
        """Return what lies in the queue now."""
        lines = self._command("postqueue", "-j").checked().stdout.splitlines()
        return tuple(msgspec.json.decode(line, type=QueuedMessage) for line in lines)

    def wait_for_empty_queue(self, timeout_seconds: float = 30.0) -> None:
        """Wait until all mail has left. Raises `PeerError` with the log's tail after the timeout."""
        self.process.wait_for(lambda: not self.queue(), "an empty queue", timeout_seconds)

    def delivered(self, user: str) -> list[bytes]:
        """Return the messages delivered to the address `user`, the oldest first, as they lie on disk."""
        new = self.mail_directory / MAILDIR / "new"
        files = sorted(new.iterdir(), key=lambda path: path.stat().st_mtime_ns) if new.is_dir() else []
        contents = (path.read_bytes() for path in files)
        # virtual(8) prepends Return-Path, X-Original-To and Delivered-To, in this order.
        marker = f"delivered-to: {user.lower()}".encode()
        return [content for content in contents if marker in content.lower().split(b"\n", 4)[:4]]

    def wait_for_delivered(self, user: str, count: int = 1, timeout_seconds: float = 15.0) -> list[bytes]:
        """Wait until the maildir of `user` has `count` messages and return all that it has."""
        self.process.wait_for(
            lambda: len(self.delivered(user)) >= count, f"{count} messages of {user}", timeout_seconds
        )
        return self.delivered(user)

    def log(self) -> str:
        """Return Postfix's log."""
        return self.process.log()


def _give_to(path: Path, user: str) -> None:
    entry = pwd.getpwnam(user)
    os.chown(path, entry.pw_uid, entry.pw_gid)


@contextmanager
def running_postfix(directory: Path, settings: PostfixSettings | None = None, port: int = 0) -> Iterator[Postfix]:
    """Run a Postfix in `directory` (see `peer_directory`) until the end of the block; port 0 chooses a free one."""
    directory.mkdir(exist_ok=True)
    check_traversable(directory)
    postfix = Postfix(directory, port or free_port(), settings or PostfixSettings())
    with postfix.process as process:
        process.wait_for_port(postfix.port)
        yield postfix
