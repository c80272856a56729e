"""Questions that wait for their answers, each by session and token, and the streams of content that are open.

An answer to what was not asked, or not any more, is late or foreign: it is ignored, as OpenSMTPD does, but a flood of
them is a fault.
"""

import asyncio
from dataclasses import dataclass
from typing import Final, Protocol

from paquebot_mta.config.filters import Phase
from paquebot_mta.filter.contract import Failing, FilterError
from paquebot_mta.filter.decisions import Decision
from paquebot_mta.filter.process.allowance import Allowance
from paquebot_mta.filter.process.answers import Answer, ContentLine, ProtocolFault, Remark, Result, decision_of
from paquebot_mta.filter.process.channel import Channel
from paquebot_mta.filter.process.lines import Version, content_lines, question_head, question_line
from paquebot_mta.mail.ids import SessionId

Key = tuple[SessionId, int]
_SWEEP_SECONDS: Final = 0.25
MAX_QUESTIONS: Final = 10_000


class Stream(Protocol):
    """Takes the lines of content that come back."""

    def take(self, line: bytes) -> None:
        """Take a line as the filter said it."""
        ...

    def fail(self, cause: str, reason: Failing = "crash") -> None:
        """Note that nothing more will come."""
        ...


@dataclass(slots=True)
class _Question:
    phase: Phase
    asked_at: float
    answer: asyncio.Future[Decision]


class Questions:
    """All that one running filter was asked and has not answered.

    Args:
        channel: where to it is asked.
        timeout_seconds: for each answer. A filter that said nothing at all for so long hangs: the channel is ended.

    Attributes:
        late: how many answers did not come in time.
    """

    def __init__(self, channel: Channel, version: Version, timeout_seconds: float) -> None:
        self._channel = channel
        self._version = version
        self._timeout_seconds = timeout_seconds
        self._loop = asyncio.get_running_loop()
        self._open: dict[Key, _Question] = {}
        self._streams: dict[Key, Stream] = {}
        self._allowance = Allowance(self._loop.time)
        self._token = 0
        self._sweeping: asyncio.TimerHandle | None = None
        self.late = 0

    def __len__(self) -> int:
        """How many wait."""
        return len(self._open) + len(self._streams)

    async def ask(self, phase: Phase, session: SessionId, parameter: str, at: float) -> Decision:
        """Ask about a phase; raises FilterError."""
        if not self._channel.has_room or len(self._open) >= MAX_QUESTIONS:
            raise FilterError("it is gone, or too much waits for it")
        key = (session, self._next_token())
        question = self._open[key] = _Question(phase, self._loop.time(), self._loop.create_future())
        self._channel.write(question_line(phase, session, key[1], parameter, at, self._version))
        if self._sweeping is None:
            self._sweeping = self._loop.call_later(_SWEEP_SECONDS, self._sweep)
        try:
            return await question.answer
        finally:
            if self._open.pop(key, None) is not None:
                self._allowance.add(1, len(parameter))

    def open_stream(self, session: SessionId, stream: Stream) -> int:
        """Begin a stream of content; answers its token."""
        token = self._next_token()
        self._streams[session, token] = stream
        return token

    def close_stream(self, session: SessionId, token: int, lines: int = 0, size_bytes: int = 0) -> None:
        """Forget a stream; so many lines and bytes of it may still come."""
        if self._streams.pop((session, token), None) is not None:
            self._allowance.add(lines, size_bytes)

    async def wait_for_room(self) -> None:
        """Wait until the filter takes content, or is gone."""
        await self._channel.wait_for_room()

    def write_content(self, session: SessionId, token: int, content: bytes, at: float) -> None:
        """Give whole lines of a stream; raises FilterError."""
        if self._channel.ended:
            raise FilterError("it is gone")
        self._channel.write(content_lines(question_head("data-line", session, token, at, self._version), content))

    def write_end(self, session: SessionId, token: int, at: float) -> None:
        """Say that a stream ends."""
        self._channel.write(question_head("data-line", session, token, at, self._version) + b".\n")

    def take(self, answer: Answer) -> None:
        """Take an answer.

        Raises:
            ProtocolFault: a filter may not answer that question so, or says far more than it is asked.
        """
        if isinstance(answer, Remark):
            self._allowance.spend(len(answer.text))
            return
        key = (answer.session, answer.token)
        if not isinstance(answer, ContentLine):
            self._take_result(key, answer)
        elif (stream := self._streams.get(key)) is not None:
            stream.take(answer.line)
        else:
            self._allowance.spend(len(answer.line))

    def doubt(self, since: float) -> None:
        """What is waited for since then didn't come in time: who said nothing at all meanwhile hangs, and is ended."""
        if since >= self._channel.last_heard_at:
            self._channel.end(f"it hangs: no word for {self._timeout_seconds:g} s", "timeout")

    def forget(self, session: SessionId) -> None:
        """The session is over: whoever still waits for an answer about it is told so."""
        for question in [question for (owner, _), question in self._open.items() if owner == session]:
            _fail(question, "the session is over")
        for stream in [stream for (owner, _), stream in self._streams.items() if owner == session]:
            stream.fail("the session is over")

    def fail_all(self, cause: str, reason: Failing) -> None:
        """Tell all who wait that nothing will come."""
        for question in self._open.values():
            _fail(question, cause, reason)
        for stream in [*self._streams.values()]:
            stream.fail(cause, reason)
        self._streams.clear()
        if self._sweeping is not None:
            self._sweeping.cancel()

    def _next_token(self) -> int:
        self._token += 1
        return self._token

    def _take_result(self, key: Key, result: Result) -> None:
        if key in self._streams:
            raise ProtocolFault("it decided the phase data-line, where lines are wanted")
        question = self._open.pop(key, None)
        if question is None:
            self._allowance.spend(len(result.parameter))
            return
        if question.answer.done():
            return
        try:
            question.answer.set_result(decision_of(result, question.phase))
        except ProtocolFault as fault:
            _fail(question, str(fault), "protocol")
            raise

    def _sweep(self) -> None:
        """Fail what is too old; all have the same time, so the oldest stand first."""
        self._sweeping = None
        border = self._loop.time() - self._timeout_seconds
        old = []
        for question in self._open.values():
            if question.asked_at > border:
                break
            old.append(question)
        for question in old:
            self.late += 1
            _fail(question, "it didn't answer in time", "timeout")
        if old:
            self.doubt(old[-1].asked_at)
        if not self._channel.ended and len(self._open) > len(old):
            self._sweeping = self._loop.call_later(_SWEEP_SECONDS, self._sweep)


def _fail(question: _Question, cause: str, reason: Failing = "crash") -> None:
    if not question.answer.done():
        question.answer.set_exception(FilterError(cause, reason))
