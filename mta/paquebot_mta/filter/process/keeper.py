"""Keeps one filter running: reaches it, lets it register, and does so again, later each time, when it ends."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from paquebot_mta.filter.contract import Failing
from paquebot_mta.filter.process.answers import Answer, Remark
from paquebot_mta.filter.process.channel import Channel
from paquebot_mta.filter.process.connect import Running, Way
from paquebot_mta.filter.process.lines import clean
from paquebot_mta.filter.process.questions import Questions
from paquebot_mta.filter.process.registration import Introduction, Registration
from paquebot_mta.telemetry.bus import Emit
from paquebot_mta.telemetry.events import Notice

REGISTRATION_SECONDS: Final = 30.0
FIRST_PAUSE_SECONDS: Final = 0.2
MAX_PAUSE_SECONDS: Final = 60.0
GOODBYE_SECONDS: Final = 2.0
"""How long a filter that did no wrong may take to end when its input ends."""
STEADY_SECONDS: Final = 60.0
"""A filter that lived so long is started again at once, however often it ended before."""
_ERROR_LINES: Final = 100
"""Lines of standard error that are logged for each start, and then for each minute."""


@dataclass(frozen=True, slots=True)
class Line:
    """A filter that runs and has registered."""

    channel: Channel
    questions: Questions
    registration: Registration


class Keeper:
    """Runs one filter over and over.

    Args:
        name: of the filter, for the log.
        on_change: is called whenever ``line`` or ``restarts`` changed.

    Attributes:
        line: the running filter; None while there is none.
        restarts: how often it ended by itself.
        trouble: why there is no line; empty before the first end.
    """

    def __init__(
        self,
        name: str,
        way: Way,
        introduction: Introduction,
        timeout_seconds: float,
        emit: Emit,
        on_change: Callable[[], None],
    ) -> None:
        self._name = name
        self._way = way
        self._introduction = introduction
        self._timeout_seconds = timeout_seconds
        self._emit = emit
        self._on_change = on_change
        self._task: asyncio.Task[None] | None = None
        self._stopping: asyncio.Task[None] | None = None
        self._error_lines = 0
        self._error_minute = 0.0
        self._pause_seconds = FIRST_PAUSE_SECONDS
        self.line: Line | None = None
        self.restarts = 0
        self.trouble = "it is being started"

    def start(self) -> None:
        """Begin, in the background."""
        if self._task is None:
            self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """End the filter and wait until it is gone."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._stopping is not None:
            await self._stopping

    async def _run(self) -> None:
        while True:
            began_at = asyncio.get_running_loop().time()
            await self._live()
            lived_seconds = asyncio.get_running_loop().time() - began_at
            if lived_seconds > STEADY_SECONDS:
                self._pause_seconds = FIRST_PAUSE_SECONDS
            await asyncio.sleep(self._pause_seconds)
            self._pause_seconds = min(2 * self._pause_seconds, MAX_PAUSE_SECONDS)

    async def _live(self) -> None:
        """One life of the filter, from its start to its end."""
        ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        life = _Life(ended, self._remark)
        channel = Channel(self._introduction, life.take, life.end)
        life.questions = Questions(channel, self._introduction.version, self._timeout_seconds)
        running: Running | None = None
        try:
            running = await self._way.connect(channel, self._take_error_line)
            if (registration := await self._registered(channel)) is not None:
                self._set_line(Line(channel, life.questions, registration))
                self._notice("info", "filter.started", restarts=self.restarts)
            cause = await ended
        except OSError as error:
            cause = f"it can't be reached: {error.strerror or error}"
        except Exception as error:  # a fault of ours must not end the filter for good
            cause = f"it can't be run: {type(error).__name__}: {error}"
        finally:
            grace_seconds = 0.0 if channel.ended and not channel.gone else GOODBYE_SECONDS
            channel.end("it is being stopped")
            self._set_line(None)
            if running is not None:
                # Also when this task is cancelled: what was started is never left behind.
                self._stopping = asyncio.create_task(running.stop(grace_seconds))
                await asyncio.shield(self._stopping)
            channel.abort()
        self.restarts += 1
        self._tell_end(cause, running)
        self._on_change()

    async def _registered(self, channel: Channel) -> Registration | None:
        try:
            return await asyncio.wait_for(asyncio.shield(channel.registered), REGISTRATION_SECONDS)
        except TimeoutError:
            channel.end(f"it wasn't ready after {REGISTRATION_SECONDS:g} s")
            return None

    def _set_line(self, line: Line | None) -> None:
        if line is not self.line:
            self.line = line
            self._on_change()

    def _tell_end(self, cause: str, running: Running | None) -> None:
        ending = f" ({running.ending})" if running is not None and running.ending else ""
        self.trouble = f"{cause}{ending}"
        event: Literal["filter.timeout", "filter.crashed"] = (
            "filter.timeout" if cause.startswith("it hangs") else "filter.crashed"
        )
        self._notice("error", event, cause=self.trouble, restarts=self.restarts)

    def _remark(self, text: str) -> None:
        self._take_error_line(f"report|{text}")

    def _take_error_line(self, text: str) -> None:
        """Log what it wrote on standard error, in a bounded way."""
        now = asyncio.get_running_loop().time()
        if now - self._error_minute > 60.0:
            self._error_lines, self._error_minute = 0, now
        self._error_lines += 1
        if self._error_lines <= _ERROR_LINES and text:
            self._notice("warning", "filter.stderr", line=clean(text[:1_000]))

    def _notice(self, level: Literal["info", "warning", "error"], event: str, **details: str | int) -> None:
        self._emit(Notice(level=level, event=event, details={"filter": self._name, **details}))


class _Life:
    """What answers lead to, and how the life ended."""

    questions: Questions

    def __init__(self, ended: asyncio.Future[str], on_remark: Callable[[str], None]) -> None:
        self._ended = ended
        self._on_remark = on_remark

    def take(self, answer: Answer) -> None:
        """Take an answer; raises ProtocolFault."""
        self.questions.take(answer)
        if isinstance(answer, Remark):
            self._on_remark(answer.text)

    def end(self, cause: str, reason: Failing) -> None:
        """The channel ended: nobody waits for it any longer."""
        self.questions.fail_all(cause, reason)
        if not self._ended.done():
            self._ended.set_result(cause)
