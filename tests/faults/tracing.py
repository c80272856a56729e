"""A live process under strace, which kills it or makes a call fail at the n-th system call of a kind.

strace counts for each thread on its own, from the moment it is attached. It ends the process before the call takes
effect, so dying at every call also means dying after every call.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.paquebot import Paquebot
from tests.support.paquebot_config import PaquebotSettings
from tests.support.processes import PeerProcess, find_program, wait_until

# Not every architecture has every one of them; strace ignores an unknown name behind a question mark.
CALLS = {
    "openat": ("openat", "open"),
    "pwrite": ("pwritev", "pwrite64", "pwritev2"),
    "write": ("write", "writev", "sendto", "sendmsg"),
    "fdatasync": ("fdatasync",),
    "fsync": ("fsync",),
    "mkdir": ("mkdir", "mkdirat"),
    "rename": ("rename", "renameat", "renameat2", "link", "linkat"),
    "unlink": ("unlink", "unlinkat", "rmdir"),
    "ftruncate": ("ftruncate",),
    "fallocate": ("fallocate",),
}


@dataclass(frozen=True)
class Injection:
    """What happens at which call: the ``when``-th one of a kind in a thread, ``when`` in strace's own spelling."""

    kind: str
    when: str
    action: str = "signal=KILL"

    def options(self) -> list[str]:
        """Return the options of strace."""
        names = ",".join(f"?{name}" for name in CALLS[self.kind])
        return ["-f", "-e", f"trace={names}", "-e", f"inject={names}:{self.action}:when={self.when}"]


class TracedPaquebot(Paquebot):
    """An instance that can be started under strace, and to which strace can be attached."""

    def __init__(self, directory: Path, settings: PaquebotSettings) -> None:
        self.traced_by: Injection | None = None
        super().__init__(directory, settings)

    def _argv(self) -> list[str]:
        if self.traced_by is None:
            return super()._argv()
        log = str(self.directory / "strace.log")
        return [find_program("strace"), *self.traced_by.options(), "-o", log, *super()._argv()]

    def attach(self, injection: Injection) -> PeerProcess:
        """Trace the running process; from here on its calls count."""
        messages = self.directory / f"attach-{injection.kind}-{injection.when}-{self.process.pid}.log"
        options = [*injection.options(), "-o", str(self.directory / "strace.log"), "-p", str(self.process.pid)]
        tracer = PeerProcess([find_program("strace"), *options], messages)
        # It may have done its work and ended by the time we look.
        wait_until(lambda: "attached with" in tracer.log(), "strace to attach", 15.0)
        return tracer

    @property
    def is_dead(self) -> bool:
        """Whether it ended."""
        return self.process.returncode is not None


@contextmanager
def running_traced(directory: Path, settings: PaquebotSettings) -> Iterator[TracedPaquebot]:
    """Run an instance until the end of the block; what it logged is for the test to judge."""
    directory.mkdir(exist_ok=True)
    paquebot = TracedPaquebot(directory, settings)
    try:
        yield paquebot
    finally:
        paquebot.stop()
