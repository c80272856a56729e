"""The content of one message, line by line through a filter (phase data-line of smtpd-filters(7))."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from paquebot_mta.filter.contract import Failing, FilterError
from paquebot_mta.filter.process.questions import Questions
from paquebot_mta.mail.content import LINE_BYTES
from paquebot_mta.mail.ids import SessionId

HARD_FACTOR: Final = 10
"""A filter that only ever makes progress is waited for as long as so many deadlines, over a whole message."""
_GROWTH_BYTES: Final = 4 * 1_048_576
"""How much more than twice what it got a filter may give back."""


class ProcessLines:
    """A stream to and from one filter; see ``LineFilter``.

    The filter may give more or fewer lines, later, until it says ``.`` alone. What it gives is unstuffed here.
    """

    def __init__(
        self, questions: Questions, session: SessionId, timeout_seconds: float, clock: Callable[[], float]
    ) -> None:
        self._questions = questions
        self._session = session
        self._timeout_seconds = timeout_seconds
        self._left_seconds = HARD_FACTOR * timeout_seconds
        self._clock = clock
        self._token = questions.open_stream(session, self)
        self._lines: list[bytes] = []
        self._given_lines = self._given_bytes = self._got_bytes = 0
        self._progress = asyncio.Event()
        self._ended = False
        self._fault: FilterError | None = None

    async def feed(self, content: bytes) -> bytes:
        """Give whole lines; get what came back meanwhile. Raises FilterError."""
        self._check()
        if not self._ended and content:
            self._given_bytes += len(content)
            self._given_lines += content.count(b"\n")
            await self._wait_for(self._questions.wait_for_room(), "it didn't take content in time")
            self._check()
            self._questions.write_content(self._session, self._token, content, self._clock())
        return self._take_all()

    async def finish(self) -> bytes:
        """Say that the message ends, and wait for the rest; each piece of it has the deadline, and all have an end.

        Raises FilterError.
        """
        self._check()
        if not self._ended:
            self._questions.write_end(self._session, self._token, self._clock())
        while not self._ended:
            self._progress.clear()
            await self._wait_for(self._progress.wait(), "it didn't give content back in time")
            self._check()
        return self._take_all()

    def abort(self) -> None:
        """Forget it; what still comes is ignored."""
        share = 0 if self._ended else 2
        self._questions.close_stream(self._session, self._token, share * self._given_lines, share * self._given_bytes)

    def take(self, line: bytes) -> None:
        """Take a line as the filter said it."""
        self._progress.set()
        if self._ended or self._fault:
            return
        if line == b".":
            self._ended = True
            self.abort()
            return
        line = line.removeprefix(b".")
        self._got_bytes += len(line) + 2
        if flaw := _flaw_of(line):
            self.fail(f"it gave content with {flaw}", "protocol")
        elif self._got_bytes > 2 * self._given_bytes + _GROWTH_BYTES:
            self.fail("it gave far more content than it got", "protocol")
        else:
            self._lines.append(line)

    def fail(self, cause: str, reason: Failing = "crash") -> None:
        """Note that nothing of use will come."""
        self._fault = self._fault or FilterError(cause, reason)
        self._lines.clear()
        self.abort()
        self._progress.set()

    async def _wait_for(self, progress: Awaitable[object], cause: str) -> None:
        """Wait for the filter; what doesn't come in time is a fault, and so is a message that takes too long in all."""
        began = asyncio.get_running_loop().time()
        try:
            await asyncio.wait_for(progress, min(self._timeout_seconds, self._left_seconds))
        except TimeoutError:
            if self._left_seconds >= self._timeout_seconds:
                self._questions.doubt(began)
            self.fail(cause, "timeout")
        self._left_seconds -= asyncio.get_running_loop().time() - began

    def _check(self) -> None:
        if self._fault is not None:
            raise self._fault

    def _take_all(self) -> bytes:
        self._check()
        lines, self._lines = self._lines, []
        return b"\r\n".join([*lines, b""])


def _flaw_of(line: bytes) -> str:
    """Say what no client may send either; empty if there is nothing of that kind."""
    if b"\r" in line:
        return "a bare CR"
    if b"\0" in line:
        return "a NUL"
    return "too long a line" if len(line) + 2 > LINE_BYTES else ""
