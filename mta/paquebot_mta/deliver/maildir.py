"""Delivery into maildirs: written in ``tmp``, synced, renamed into ``new``, and the folder synced."""

import contextlib
import os
from pathlib import Path
from typing import Final

from paquebot_mta.config.actions import Maildir
from paquebot_mta.deliver.local import Box, LocalSlots, LocalSurroundings, LocalTransport
from paquebot_mta.deliver.paths import PathPartError, checked_part
from paquebot_mta.mail.envelope import Envelope
from paquebot_mta.mail.header import first_value
from paquebot_mta.mail.stuffing import LfLines

JUNK_FOLDER: Final = ".Junk"
_JUNK_FIELDS: Final = (b"X-Spam", b"X-Spam-Flag")
_CREATE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class MaildirTransport(LocalTransport):
    """Delivers into the maildirs of one action; makes them at the first delivery."""

    def __init__(self, action: Maildir, slots: LocalSlots, around: LocalSurroundings) -> None:
        """Keep the action."""
        super().__init__(slots, around)
        self._action = action

    def open_box(self, envelope: Envelope, reverse_path: str, header: bytes) -> tuple[Box, LfLines]:
        """Choose the folder: junk first, then the sub-address's if that exists, else the inbox."""
        root = self.place(self._action.path, envelope)
        folder = JUNK_FOLDER if self._action.junk and is_junk(header) else ""
        return MaildirBox(root, folder, _extension_folder(envelope), self._file_name()), LfLines()

    def _file_name(self) -> str:
        """Make a unique name: time, 64 random bits, host."""
        host = self._around.hostname.replace("/", r"\057").replace(":", r"\072")
        return f"{int(self._around.clock())}.{self._around.randbits(64):016x}.{host}"


class MaildirBox:
    """One message on its way into a maildir.

    Args:
        root: of the maildir.
        folder: where it goes, made if missing; empty for the inbox.
        wish: another folder, used instead of the inbox if it exists.
        name: of the file.
    """

    def __init__(self, root: Path, folder: str, wish: str, name: str) -> None:
        """Touch nothing yet."""
        self._root = root
        self._folder = folder
        self._wish = wish
        self._name = name
        self._descriptor = -1
        self._chosen = root

    def write(self, data: bytes) -> None:
        """Append; the first call makes the file, and the maildir if it is not there."""
        if self._descriptor < 0:
            self._chosen = self._choose()
            make_maildir(self._chosen)
            self._descriptor = os.open(self._tmp, _CREATE, 0o600)
        view = memoryview(data)
        while view:
            view = view[os.write(self._descriptor, view) :]

    def finish(self) -> None:
        """Sync, move into ``new``, sync the folder."""
        os.fsync(self._descriptor)
        self._close()
        new = self._chosen / "new"
        os.rename(self._tmp, new / self._name)
        sync_folder(new)

    def discard(self) -> None:
        """Remove the file from ``tmp``; what is in ``new`` stays."""
        if self._descriptor >= 0:
            self._close()
        with contextlib.suppress(FileNotFoundError):
            self._tmp.unlink()

    @property
    def _tmp(self) -> Path:
        return self._chosen / "tmp" / self._name

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        os.close(descriptor)

    def _choose(self) -> Path:
        if self._folder:
            return self._root / self._folder
        wished = self._root / self._wish
        return wished if self._wish and wished.is_dir() else self._root


def make_maildir(path: Path) -> None:
    """Make the folders of a maildir that are missing, for its owner only, and sync the way to them."""
    if (path / "new").is_dir() and (path / "tmp").is_dir():
        return
    missing = [each for each in (path, *path.parents) if not each.exists()]
    for each in reversed(missing):
        with contextlib.suppress(FileExistsError):
            each.mkdir(mode=0o700)
    for name in ("cur", "new", "tmp"):
        with contextlib.suppress(FileExistsError):
            (path / name).mkdir(mode=0o700)
    for each in {path, *(each.parent for each in missing)}:
        sync_folder(each)


def sync_folder(path: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def is_junk(header: bytes) -> bool:
    """Whether a filter marked the message: ``X-Spam: yes`` or ``X-Spam-Flag: yes``."""
    return any((first_value(header, name) or b"").lower() == b"yes" for name in _JUNK_FIELDS)


def _extension_folder(envelope: Envelope) -> str:
    """Name the folder of the sub-address, empty if there is none or it can't be a name."""
    try:
        return f".{checked_part(envelope.extension)}" if envelope.extension else ""
    except PathPartError:
        return ""
