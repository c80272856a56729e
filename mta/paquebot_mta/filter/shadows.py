"""Questions whose answers change nothing: asked beside the mail, so that no session waits for filters on trial.

Bounded: what is too much is not asked. Knows nothing of filters.
"""

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Final

from paquebot_mta.mail.ids import SessionId

MAX_QUESTIONS: Final = 1_000
"""How many may wait for their answers, in a worker."""
MAX_BYTES: Final = 134_217_728
"""How much content may be kept for them."""


class Shadows:
    """Tasks by session. One goes on when its session is over: each question has a deadline of its own."""

    def __init__(self, questions: int = MAX_QUESTIONS, content_bytes: int = MAX_BYTES) -> None:
        """Take the bounds."""
        self._questions, self._bytes = questions, content_bytes
        self._open: dict[SessionId, set[asyncio.Task[object]]] = {}
        self._then: dict[SessionId, Callable[[], None]] = {}

    def begin(
        self, session: SessionId, question: Coroutine[Any, Any, object], content_bytes: int = 0
    ) -> asyncio.Task[object] | None:
        """Begin to ask, on the event loop; None: there are too many questions, this one is dropped.

        Args:
            question: never raises.
            content_bytes: of the message that has to be kept for it.
        """
        if not self._questions or content_bytes > self._bytes:
            question.close()
            return None
        self._questions -= 1
        self._bytes -= content_bytes
        task = asyncio.get_running_loop().create_task(question)
        self._open.setdefault(session, set()).add(task)
        task.add_done_callback(partial(self._done, session, content_bytes))
        return task

    def _done(self, session: SessionId, content_bytes: int, task: asyncio.Task[object]) -> None:
        self._questions += 1
        self._bytes += content_bytes
        still_open = self._open[session]
        still_open.discard(task)
        if not still_open:
            del self._open[session]
            self._then.pop(session, _nothing)()

    def end(self, session: SessionId, then: Callable[[], None]) -> None:
        """Note that a session is over, and call ``then`` once nothing is asked about it any more."""
        if session in self._open:
            self._then[session] = then
        else:
            then()

    def is_over(self, session: SessionId) -> bool:
        """Whether a session ended about which something is still asked."""
        return session in self._then

    async def close(self) -> None:
        """Give all questions up."""
        tasks = [task for each in self._open.values() for task in each]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _nothing() -> None:
    """Nobody waits for the end of the session."""
