"""A transport without a network: keeps what is written, and closes as a real one does, later."""

import asyncio
from collections.abc import Coroutine
from functools import cache
from typing import Any, Protocol

_TURNS = 200
"""Turns of the loop in which whatever a session does must come to rest: nothing here waits for anything real."""


class FakeTls:
    """What a session asks of an encrypted connection."""

    def cipher(self) -> tuple[str, str, int]:
        return "TLS_AES_256_GCM_SHA384", "TLSv1.3", 256

    def version(self) -> str:
        return "TLSv1.3"

    def getpeercert(self) -> None:
        return None


class FakeTransport:
    """One end of a connection; ``protocol`` is told of the end once, and never from within a call of its own."""

    def __init__(self, protocol: asyncio.Protocol, *, tls: bool = False) -> None:
        self.protocol = protocol
        self.written = bytearray()
        self.closing = self.closed = self.paused = False
        self.tls = FakeTls() if tls else None

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        known = {"peername": ("192.0.2.7", 4321), "sockname": ("192.0.2.1", 25), "ssl_object": self.tls}
        return known.get(name, default)

    def write(self, data: bytes) -> None:
        assert not self.closed, "written to a connection that is gone"
        self.written += data

    def pause_reading(self) -> None:
        assert not self.paused
        self.paused = True

    def resume_reading(self) -> None:
        assert self.paused
        self.paused = False

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        if not self.closing:
            self.closing = True
            asyncio.get_running_loop().call_soon(self.lose)

    abort = close

    def lose(self, error: Exception | None = None) -> None:
        """Let the connection be gone now."""
        self.closing = True
        if not self.closed:
            self.closed = True
            self.protocol.connection_lost(error)


@cache
def _loop() -> asyncio.AbstractEventLoop:
    return asyncio.new_event_loop()


def run(work: Coroutine[Any, Any, None]) -> None:
    """Run to the end on a loop that is kept; what a callback lets fall is raised, and nothing may be left behind."""
    loop, lost = _loop(), list[dict[str, Any]]()
    loop.set_exception_handler(lambda _, context: lost.append(context))
    loop.run_until_complete(work)
    for each in lost:
        raise AssertionError(each.get("message")) from each.get("exception")
    assert not asyncio.all_tasks(loop)


class _Work(Protocol):
    def done(self) -> bool: ...


async def settle(task: _Work | None) -> None:
    """Let a task come to its end; one that doesn't hangs."""
    for _ in range(_TURNS):
        if task is None or task.done():
            return
        await asyncio.sleep(0)
    raise AssertionError("a session hangs")


async def turns(count: int) -> None:
    """Let others run."""
    for _ in range(count):
        await asyncio.sleep(0)
