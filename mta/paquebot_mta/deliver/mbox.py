"""Delivery into mbox files (RFC 4155), "From " quoted reversibly (mboxrd): locked, synced, cut back on failure."""

import contextlib
import fcntl
import os
import re
import stat
import time
from pathlib import Path
from typing import Final

from paquebot_mta.config.actions import Mbox
from paquebot_mta.deliver.local import Box, LocalSlots, LocalSurroundings, LocalTransport
from paquebot_mta.deliver.paths import mailbox_path
from paquebot_mta.mail.envelope import Envelope
from paquebot_mta.mail.stuffing import LfLines

LOCK_SECONDS: Final = 30.0
_LOCK_STEP_SECONDS: Final = 0.05
_OPEN: Final = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
_FROM: Final = re.compile(rb"^(>*From )", re.MULTILINE)
_MAY_BECOME_FROM: Final = re.compile(rb">*(?:F(?:r(?:om?)?)?)?")


class MboxTransport(LocalTransport):
    """Delivers into the mbox files of one action."""

    def __init__(self, action: Mbox, slots: LocalSlots, around: LocalSurroundings) -> None:
        """Keep the action."""
        super().__init__(slots, around)
        self._action = action

    def open_box(self, envelope: Envelope, reverse_path: str, header: bytes) -> tuple[Box, "MboxLines"]:
        """Append to the envelope's file."""
        path = self.place(self._action.path, envelope)
        return MboxBox(path, separator(reverse_path, self._around.clock())), MboxLines()

    def guard(self, envelope: Envelope) -> contextlib.AbstractAsyncContextManager[None]:
        """Let one delivery at a time wait for the file's lock, so that a busy file never takes all threads."""
        return self.slots.alone(mailbox_path(self._action.path, envelope))


class MboxBox:
    """One message at the end of an mbox file. The file is locked from the first write on."""

    def __init__(self, path: Path, first_line: bytes) -> None:
        """Touch nothing yet."""
        self._path = path
        self._first_line = first_line
        self._descriptor = -1
        self._before = 0

    def write(self, data: bytes) -> None:
        """Append; the first call opens and locks the file and writes the separator."""
        if self._descriptor < 0:
            self._open()
            data = self._first_line + data
        view = memoryview(data)
        while view:
            view = view[os.write(self._descriptor, view) :]

    def finish(self) -> None:
        """Sync, and let the next one in."""
        os.fsync(self._descriptor)
        self._close()

    def discard(self) -> None:
        """Cut off what was written."""
        if self._descriptor >= 0:
            try:
                os.ftruncate(self._descriptor, self._before)
                os.fsync(self._descriptor)
            finally:
                self._close()

    def _open(self) -> None:
        for each in reversed([each for each in self._path.parents if not each.exists()]):
            with contextlib.suppress(FileExistsError):
                each.mkdir(mode=0o700)
        descriptor = os.open(self._path, _OPEN, 0o600)
        try:
            _check_regular(descriptor)
            _lock(descriptor)
            self._before = os.lseek(descriptor, 0, os.SEEK_END)
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        os.close(descriptor)


def _check_regular(descriptor: int) -> None:
    """Refuse devices, pipes and folders.

    Raises:
        OSError: it is none.
    """
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        raise OSError("not a regular file")


def _lock(descriptor: int) -> None:
    """Lock against other programs, within a deadline.

    Raises:
        BlockingIOError: someone else held it all the time.
    """
    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(_LOCK_STEP_SECONDS)
        else:
            return


def separator(reverse_path: str, now: float) -> bytes:
    """Make the ``From `` line: the reverse-path, MAILER-DAEMON if it is null, and the time in UTC (RFC 4155, A)."""
    sender = "".join(char for char in reverse_path if char.isprintable() and char != " ") or "MAILER-DAEMON"
    return f"From {sender} {time.asctime(time.gmtime(now))}\n".encode()


class MboxLines:
    """Turns content into an mbox message: LF line ends, "From " quoted, an empty line at the end."""

    def __init__(self) -> None:
        """Start at the begin of a line."""
        self._lines = LfLines()
        self._held = b""
        self._within_line = False

    def feed(self, chunk: bytes) -> bytes:
        """Convert the next chunk."""
        return self._quote(self._lines.feed(chunk))

    def end(self) -> bytes:
        """Finish the last line, and add the empty one that ends a message."""
        return self._quote(self._lines.end()) + self._held + b"\n"

    def _quote(self, data: bytes) -> bytes:
        data, self._held = self._held + data, b""
        start = data.find(b"\n") + 1 if self._within_line else 0
        if self._within_line and not start:
            return data
        last = data.rfind(b"\n") + 1
        if _MAY_BECOME_FROM.fullmatch(data, last):
            self._held = data[last:]
            data = data[:last]
        self._within_line = not data.endswith(b"\n") and bool(data)
        return data[:start] + _FROM.sub(rb">\1", data[start:])
