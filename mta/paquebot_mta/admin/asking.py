"""How commands reach the workers: options they share, one question to all, and what their faults mean.

Exit codes: 0 done, 1 failed or not found, 2 wrong usage (click's), 3 nothing is running.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from functools import wraps
from pathlib import Path
from queue import Queue
from typing import Any, Final, TypeVar

import click

from paquebot_mta.admin.client import Worker, WorkerError, WorkerGoneError, find_workers
from paquebot_mta.admin.output import printable
from paquebot_mta.admin.targets import parse_target

LOCAL_RUNTIME: Final = Path(".paquebot/run")
SYSTEM_RUNTIME: Final = Path("/run/paquebot")
NOT_FOUND: Final = 404
WAITING_LINES: Final = 1_000

Answer = TypeVar("Answer")
Command = Callable[..., Any]


class NothingRunningError(click.ClickException):
    """No worker listens in the runtime directory."""

    exit_code = 3

    def __init__(self, runtime: Path) -> None:
        super().__init__(
            f"nothing is running: no worker listens in {runtime}. Start one with `paquebot run examples/quickstart`, "
            "or name its directory with --runtime (or PAQUEBOT_RUNTIME)."
        )


def read_target(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    """Parse an envelope id, a message id or ``all`` (a callback of click); a bad one is a usage error."""
    try:
        return parse_target(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


class Workers:
    """The workers of one runtime directory. A fault of one is told on stderr and remembered; the others answer on."""

    def __init__(self, runtime: Path | None) -> None:
        self.runtime = runtime or (LOCAL_RUNTIME if LOCAL_RUNTIME.is_dir() else SYSTEM_RUNTIME)
        self._workers = find_workers(self.runtime)
        self._gone: list[WorkerError] = []
        self.failed = False

    def each(self, ask: Callable[[Worker], Answer]) -> Iterator[tuple[Worker, Answer]]:
        """Ask one after the other; who has not got it (404) or fails is left out.

        Raises:
            NothingRunningError: nobody listens.
        """
        for worker in self._workers:
            try:
                yield worker, ask(worker)
            except WorkerError as error:
                self.note(error)
        self.check_running()

    def streams(self, ask: Callable[[Worker], Iterator[Answer]]) -> Sequence[Iterator[Answer]]:
        """Ask all; gives a stream a worker, which ends where the worker fails (see ``check_running``)."""
        return [self._guarded(ask(worker)) for worker in self._workers]

    def together(self, ask: Callable[[Worker], Iterator[bytes]]) -> Iterator[bytes]:
        """Give the lines of all workers as they come, each worker read by a thread of its own."""
        lines: Queue[bytes | WorkerError | None] = Queue(WAITING_LINES)
        for worker in self._workers:
            threading.Thread(target=_pump, args=(ask, worker, lines), daemon=True).start()
        open_streams = len(self._workers)
        while open_streams:
            line = lines.get()
            if isinstance(line, bytes):
                yield line
                continue
            open_streams -= 1
            if line is not None:
                self.note(line)
        self.check_running()

    def check_running(self) -> None:
        """Raise NothingRunningError if nobody listened; a socket without its worker is only told."""
        if len(self._gone) == len(self._workers):
            raise NothingRunningError(self.runtime)
        while self._gone:
            _complain(self._gone.pop())

    def note(self, error: WorkerError) -> None:
        """Tell a fault and remember it. That something is not there is no fault: another worker may have it."""
        if isinstance(error, WorkerGoneError):
            self._gone.append(error)
        elif error.status != NOT_FOUND:
            self.failed = True
            _complain(error)

    def _guarded(self, values: Iterator[Answer]) -> Iterator[Answer]:
        try:
            yield from values
        except WorkerError as error:
            self.note(error)


def _complain(error: WorkerError) -> None:
    click.echo(f"paquebot: {printable(str(error))}", err=True)


def _pump(ask: Callable[[Worker], Iterator[bytes]], worker: Worker, lines: "Queue[bytes | WorkerError | None]") -> None:
    """Move a worker's lines to the queue, then its end."""
    try:
        for line in ask(worker):
            lines.put(line)
        lines.put(None)
    except WorkerError as error:
        lines.put(error)


def with_workers(command: Command) -> Command:
    """Add ``--runtime`` to a command and give it Workers first; exit 1 if one of them failed."""

    @wraps(command)
    def call(runtime: Path | None, **arguments: Any) -> None:
        workers = Workers(runtime)
        command(workers, **arguments)
        if workers.failed:
            raise click.exceptions.Exit(1)

    option = click.option(
        "--runtime",
        type=click.Path(path_type=Path, file_okay=False),
        envvar="PAQUEBOT_RUNTIME",
        help=f"Where the workers' sockets are. [default: {LOCAL_RUNTIME} if it is there, else {SYSTEM_RUNTIME}]",
    )
    return option(call)


def with_json(command: Command) -> Command:
    """Add ``--json`` and ``--jsonl``, given as ``form``: None, ``json`` or ``jsonl``."""
    array = click.option("--json", "form", flag_value="json", help="Print a JSON array.")
    lines = click.option("--jsonl", "form", flag_value="jsonl", help="Print JSON lines, as they come.")
    return array(lines(command))
