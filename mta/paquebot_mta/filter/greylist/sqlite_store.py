"""The store in a SQLite file, shared by all who can lock it: on one machine, or on a volume with working locks.

One thread does all of it; what waits while a transaction runs is done in the next one, together. No WAL: its shared
memory does not reach other machines.
"""

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

from paquebot_mta.filter.greylist.store import TRIES, StoreError

_T = TypeVar("_T")
_Work = Callable[[sqlite3.Connection], Any]
_Job = tuple[_Work, asyncio.AbstractEventLoop, "asyncio.Future[Any]"]

LOCK_SECONDS: Final = 5.0
"""How long others may hold the lock."""
MAX_WAITING: Final = 10_000
"""More at once are refused."""
PURGE_EVERY: Final = 1_000
"""After so many writes what is over is deleted."""
MAX_BYTES: Final = 67_108_864
"""Of the file, some 500,000 strangers: beyond it the oldest tries are deleted, then who was away for longest."""
_BATCH: Final = 500
_TABLE: Final = "CREATE TABLE IF NOT EXISTS seen (key TEXT PRIMARY KEY, at INTEGER, until INTEGER) WITHOUT ROWID"
_INDEX: Final = "CREATE INDEX IF NOT EXISTS seen_until ON seen (until)"
_FIND: Final = "SELECT at FROM seen WHERE key = ? AND until > ?"
_RENEW: Final = "INSERT OR REPLACE INTO seen (key, at, until) VALUES (?, ?, ?)"
_PURGE: Final = "DELETE FROM seen WHERE until <= ?"
_SIZE: Final = (
    "SELECT (page_count - freelist_count) * page_size FROM pragma_page_count, pragma_freelist_count, pragma_page_size"
)
# The + keeps SQLite from sorting all tries: the index on until has the oldest ones near its beginning.
_FORGET_TRIES: Final = (
    "DELETE FROM seen WHERE key IN (SELECT key FROM seen WHERE substr(+key, 1, ?) = ? ORDER BY until LIMIT ?)"
)
_FORGET: Final = "DELETE FROM seen WHERE key IN (SELECT key FROM seen ORDER BY until LIMIT ?)"


class SqliteStore:
    """Remembers in a file, which is made if it is missing (implements ``Store``)."""

    def __init__(self, path: Path, max_bytes: int = MAX_BYTES) -> None:
        """Name the file; it is opened with the first question, and again after a fault."""
        self._path = path
        self._max_bytes = max_bytes
        self._jobs: queue.Queue[_Job | None] = queue.Queue(MAX_WAITING)
        self._thread: threading.Thread | None = None
        self._writes = 0

    async def first_seen(self, key: str, now_seconds: int, keep_seconds: int) -> int:
        """Remember a key unless it is known."""

        def work(connection: sqlite3.Connection) -> int:
            found = connection.execute(_FIND, (key, now_seconds)).fetchone()
            if found is not None:
                return int(found[0])
            self._write(connection, key, now_seconds, keep_seconds)
            return now_seconds

        return await self._do(work)

    async def find(self, key: str, now_seconds: int) -> int | None:
        """Look."""

        def work(connection: sqlite3.Connection) -> int | None:
            found = connection.execute(_FIND, (key, now_seconds)).fetchone()
            return None if found is None else int(found[0])

        return await self._do(work)

    async def renew(self, key: str, now_seconds: int, keep_seconds: int) -> None:
        """Remember from now on."""

        def work(connection: sqlite3.Connection) -> None:
            self._write(connection, key, now_seconds, keep_seconds)

        await self._do(work)

    async def close(self) -> None:
        """Wait until all is done, and close the file."""
        if self._thread is not None:
            thread, self._thread = self._thread, None
            await asyncio.to_thread(self._jobs.put, None)
            await asyncio.to_thread(thread.join)

    async def _do(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="greylist", daemon=True)
            self._thread.start()
        loop = asyncio.get_running_loop()
        done: asyncio.Future[_T] = loop.create_future()
        try:
            self._jobs.put_nowait((work, loop, done))
        except queue.Full as error:
            raise StoreError("too many questions wait for the file") from error
        return await done

    # In the thread.

    def _run(self) -> None:
        connection: sqlite3.Connection | None = None
        last = False
        while not last:
            jobs, last = self._next_batch()
            connection = self._serve(connection, jobs) if jobs else connection
        if connection is not None:
            connection.close()

    def _next_batch(self) -> tuple[list[_Job], bool]:
        """Wait for a job, and take all that came by now; true: no more will come."""
        jobs: list[_Job] = []
        job = self._jobs.get()
        while job is not None:
            jobs.append(job)
            if len(jobs) >= _BATCH or self._jobs.empty():
                return jobs, False
            job = self._jobs.get()
        return jobs, True

    def _write(self, connection: sqlite3.Connection, key: str, now_seconds: int, keep_seconds: int) -> None:
        """Remember, and once in a while forget what is over or too much, so that the file does not grow for ever."""
        connection.execute(_RENEW, (key, now_seconds, now_seconds + keep_seconds))
        self._writes += 1
        if self._writes % PURGE_EVERY == 0:
            connection.execute(_PURGE, (now_seconds,))
            self._make_room(connection)

    def _make_room(self, connection: sqlite3.Connection) -> None:
        """Forget twice as many as came since the last time: other processes write to the file, too."""
        if connection.execute(_SIZE).fetchone()[0] <= self._max_bytes:
            return
        count = 2 * PURGE_EVERY
        forgotten = connection.execute(_FORGET_TRIES, (len(TRIES), TRIES, count)).rowcount
        if forgotten < count:
            connection.execute(_FORGET, (count - forgotten,))

    def _serve(self, connection: sqlite3.Connection | None, jobs: list[_Job]) -> sqlite3.Connection | None:
        """Do jobs in one transaction; after a fault the file is opened anew."""
        try:
            connection = connection or _open(self._path)
            connection.execute("BEGIN IMMEDIATE")
            results = [work(connection) for work, _, _ in jobs]
            connection.execute("COMMIT")
        except (sqlite3.Error, OSError) as error:
            if connection is not None:
                connection.close()
            _tell(jobs, error=StoreError(f"{self._path.name}: {error}"))
            return None
        _tell(jobs, results)
        return connection


def _open(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path, timeout=LOCK_SECONDS, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(_TABLE)
        connection.execute(_INDEX)
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _tell(jobs: list[_Job], results: list[Any] | None = None, error: StoreError | None = None) -> None:
    for place, (_, loop, done) in enumerate(jobs):
        result = None if results is None else results[place]
        try:
            loop.call_soon_threadsafe(_settle, done, result, error)
        except RuntimeError:
            continue  # its loop has ended: nobody waits


def _settle(done: "asyncio.Future[Any]", result: object, error: StoreError | None) -> None:
    if done.done():
        return
    if error is None:
        done.set_result(result)
    else:
        done.set_exception(error)
