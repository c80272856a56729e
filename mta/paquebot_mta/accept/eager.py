"""Runs a coroutine at once, without a task as long as nothing has to be awaited: most commands never wait.

Only where it first waits it becomes a task. Whoever asks for the current task before that (``asyncio.timeout`` does)
gets a stand-in that later speaks for the task.
"""

import asyncio
from collections.abc import Coroutine
from types import TracebackType
from typing import Any


class Work:
    """A piece of work that was begun; a stand-in for its task."""

    __slots__ = ("_task",)

    def __init__(self) -> None:
        """Begin without a task."""
        self._task: asyncio.Task[None] | None = None

    def run(self, steps: Coroutine[Any, Any, None], loop: asyncio.AbstractEventLoop) -> None:
        """Run it as far as it goes without waiting; called by the event loop, not by a task."""
        asyncio._enter_task(loop, self)  # type: ignore[arg-type]
        try:
            waited_for = steps.send(None)
        except StopIteration:
            return
        finally:
            asyncio._leave_task(loop, self)  # type: ignore[arg-type]
        self._task = loop.create_task(_Begun(steps, waited_for))

    def cancel(self, msg: object = None) -> bool:
        """See `asyncio.Task`. What has not waited yet can't be cancelled."""
        return self._task is not None and self._task.cancel(msg)

    def done(self) -> bool:
        """See `asyncio.Task`."""
        return self._task is not None and self._task.done()

    def cancelling(self) -> int:
        """See `asyncio.Task`."""
        return 0 if self._task is None else self._task.cancelling()

    def uncancel(self) -> int:
        """See `asyncio.Task`."""
        return 0 if self._task is None else self._task.uncancel()


class _Begun(Coroutine[Any, Any, None]):
    """The rest of a coroutine that already waits for something: that is what its task hears first."""

    __slots__ = ("_steps", "_waited_for")

    def __init__(self, steps: Coroutine[Any, Any, None], waited_for: Any) -> None:
        self._steps = steps
        self._waited_for = waited_for

    def send(self, value: Any, /) -> Any:
        waited_for, self._waited_for = self._waited_for, None
        return self._steps.send(value) if waited_for is None else waited_for

    def throw(
        self,
        kind: type[BaseException] | BaseException,
        value: BaseException | object = None,
        trace: TracebackType | None = None,
        /,
    ) -> Any:
        self._waited_for = None
        error = kind if isinstance(kind, BaseException) else value
        return self._steps.throw(error if isinstance(error, BaseException) else kind())  # type: ignore[operator]

    def close(self) -> None:
        self._steps.close()

    def __await__(self) -> Any:
        raise NotImplementedError("a task drives it")
