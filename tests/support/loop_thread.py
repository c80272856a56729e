"""An asyncio peer that runs in a thread of its own, for tests whose own code is synchronous."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import TypeVar

Peer = TypeVar("Peer")


@contextmanager
def in_thread(peer: AbstractAsyncContextManager[Peer]) -> Iterator[Peer]:
    """Run the peer's event loop in a thread until the end of the block; its records may be read from outside."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="peer", daemon=True)
    thread.start()
    try:
        found = asyncio.run_coroutine_threadsafe(peer.__aenter__(), loop).result(10)
        try:
            yield found
        finally:
            asyncio.run_coroutine_threadsafe(peer.__aexit__(None, None, None), loop).result(10)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
