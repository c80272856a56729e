"""A process that workers are forked from: it has imported everything and does nothing, so they share its memory.

It is made before there is a thread or an event loop, as neither survives a fork. Its owner tells it over a socket whom
to start and whom to send a signal, and hears who ended; when the owner is gone it ends its workers, and itself.
"""

import asyncio
import gc
import os
import selectors
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final, NoReturn

MESSAGE_BYTES: Final = 64
"""Longest message: a word and two numbers."""
ENDING: Final = (signal.SIGTERM, signal.SIGINT)
Work = Callable[[int], int]
"""Does a worker's work, given its index; answers the exit code."""


class NurseryLostError(Exception):
    """The nursery is gone: its workers end by themselves, and no new ones can be made."""


class Nursery:
    """The owner's end; used on one event loop."""

    def __init__(self, channel: socket.socket) -> None:
        """``channel`` leads to the nursery."""
        self._channel = channel
        self._ends: dict[int, asyncio.Future[int]] = {}
        self._lost = False

    def listen(self) -> None:
        """Hear of workers that ended, from now on, on the running loop."""
        self._channel.setblocking(False)
        asyncio.get_running_loop().add_reader(self._channel.fileno(), self._hear)

    def start(self, worker: int) -> asyncio.Future[int]:
        """Start a worker; answers its exit code to come (negative: the signal that ended it).

        Raises:
            NurseryLostError: it can't be started.
        """
        self._tell("start", worker)
        self._ends[worker] = end = asyncio.get_running_loop().create_future()
        return end

    def signal(self, worker: int, number: signal.Signals) -> None:
        """Send a worker a signal; one that ended meanwhile gets none.

        Nor does any when the nursery is gone, whether that was heard of or not: they end by themselves then.
        """
        if worker in self._ends:
            with suppress(NurseryLostError):
                self._tell("signal", worker, number)

    def _tell(self, word: str, *numbers: int) -> None:
        try:
            if self._lost:
                raise ConnectionResetError
            self._channel.send(" ".join([word, *map(str, numbers)]).encode())
        except OSError as error:
            raise NurseryLostError("the process that workers are made from is gone") from error

    def _hear(self) -> None:
        try:
            message = self._channel.recv(MESSAGE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            message = b""
        if not message:
            self._lose()
            return
        worker, code = map(int, message.split())
        end = self._ends.pop(worker)
        if not end.done():
            end.set_result(code)

    def _lose(self) -> None:
        self._lost = True
        asyncio.get_running_loop().remove_reader(self._channel.fileno())
        for end in self._ends.values():
            if not end.done():
                end.set_exception(NurseryLostError("the process that workers are made from is gone"))
        self._ends.clear()


@contextmanager
def running_nursery(work: Work) -> Iterator[Nursery]:
    """Fork the nursery; call it while there is one thread and no event loop.

    Raises:
        OSError: no process can be made.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    gc.collect()
    gc.freeze()  # the collector writes to what it looks at: what is frozen stays shared
    pid = os.fork()
    if pid == 0:
        ours.close()
        _Cradle(theirs, work).run()
    theirs.close()
    try:
        yield Nursery(ours)
    finally:
        ours.close()
        os.waitpid(pid, 0)


class _Cradle:
    """The nursery's end: it forks, waits and passes signals on; it never runs anything else."""

    def __init__(self, channel: socket.socket, work: Work) -> None:
        self._channel = channel
        self._work = work
        self._pids: dict[int, int] = {}
        self._selector = selectors.DefaultSelector()

    def run(self) -> NoReturn:
        """Work until the owner is gone and the last worker ended."""
        for number in ENDING:
            signal.signal(number, signal.SIG_IGN)  # a terminal sends them to all; the owner decides
        self._selector.register(self._channel, selectors.EVENT_READ)
        owned = True
        while owned or self._pids:
            for key, _ in self._selector.select():
                if key.data is not None:
                    self._bury(key.data, key.fd)
                elif not self._obey():
                    owned = False
        os._exit(0)

    def _obey(self) -> bool:
        """Do as told; False if the owner is gone."""
        try:
            word, *numbers = self._channel.recv(MESSAGE_BYTES).split()
        except (OSError, ValueError):
            self._selector.unregister(self._channel)
            for pid in self._pids.values():
                os.kill(pid, signal.SIGTERM)
            return False
        worker = int(numbers[0])
        if word == b"start":
            self._start(worker)
        elif worker in self._pids:
            os.kill(self._pids[worker], int(numbers[1]))
        return True

    def _start(self, worker: int) -> None:
        # Until the new process wants signals, they wait for it: it would ignore them as we do.
        signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
        pid = os.fork()
        if pid == 0:
            os._exit(self._live(worker))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
        self._pids[worker] = pid
        self._selector.register(os.pidfd_open(pid), selectors.EVENT_READ, worker)

    def _live(self, worker: int) -> int:
        """What a new worker does."""
        self._channel.close()
        for key in list(self._selector.get_map().values()):
            if key.data is not None:
                os.close(key.fd)
        self._selector.close()
        for number in ENDING:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
        try:
            return self._work(worker)
        except BaseException:
            traceback.print_exc()
            return 1
        finally:
            sys.stdout.flush()
            sys.stderr.flush()

    def _bury(self, worker: int, fd: int) -> None:
        _, status = os.waitpid(self._pids.pop(worker), 0)
        self._selector.unregister(fd)
        os.close(fd)
        try:
            self._channel.send(f"{worker} {os.waitstatus_to_exitcode(status)}".encode())
        except OSError:
            return  # nobody wants to know any more
