"""The drop box, ``v1/offline``: where any user of the volume may leave a message while no service runs. Blocks.

The directory is sticky and may be written by everybody, listed by nobody but its owner (mode 3733); a file in it can
be read by its owner and by the service's group, which comes from the directory. A message is written under a hidden
name, synced, and renamed. Whoever takes it moves it to ``v1/taken``, which is private, so that only one of many
processes gets it and nobody exchanges it afterwards; the claim ends with its owner block (see ``owner``).

Everything in the box is hostile: only a plain file with one name, of the right form and length, is ever read.
"""

import hashlib
import os
import re
import secrets
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final, Literal

import msgspec
from msgspec import Struct

from paquebot_mta.mail.ids import RandomBits
from paquebot_mta.mail.submission import Submission
from paquebot_mta.spool.disk import Disk
from paquebot_mta.spool.layout import Layout
from paquebot_mta.spool.owner import read_owner

BOX_MODE: Final = 0o3733
PASSAGE: Final = 0o011
"""What lets others pass through a directory and see nothing in it; all else that lies there is private."""
FILE_MODE: Final = 0o640
TICKET_BYTES: Final = 1_048_576
"""Longest first line."""
CHUNK_BYTES: Final = 65_536
STALE_SECONDS: Final = 86_400.0
"""Age of a file that its writer never finished; nobody was told that it is safe."""
_MAGIC: Final = b"paquebot-offline-1 "
_HIDDEN: Final = ".new-"
_NAME: Final = re.compile(r"[0-9a-f]{32}")
_UNFINISHED: Final = re.compile(r"\.new-[0-9a-f]{32}")
_CLAIMED: Final = re.compile(r"([0-9a-f]{32})~([0-9a-z.-]{1,64})")
_MOST_REMEMBERED: Final = 10_000

Refusal = Literal["kind", "links", "unreadable", "garbage", "incomplete", "altered"]
"""Not a plain file; has other names; may not be read; not of our form; not of the length, or not the content, that its
first line tells."""


class HostileFileError(Exception):
    """The file is not a message that may be taken."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal)
        self.refusal: Refusal = refusal


class Ticket(Struct, frozen=True, forbid_unknown_fields=True):
    """The first line of a file: whose content of how many bytes follows."""

    submission: Submission
    size: int
    digest: str


class Left(Struct, frozen=True):
    """A message that was left, opened.

    Attributes:
        user_id: of the file's owner: nobody can claim to be somebody else.
        left_at: when it was left, seconds since 1970.
        start: where its content begins.
    """

    fd: int
    ticket: Ticket
    user_id: int
    left_at: float
    start: int

    def content(self) -> Iterator[bytes]:
        """Read the content in chunks, the last one only if all are what was left.

        Raises:
            HostileFileError: they are not.
            OSError: the volume is out of order.
        """
        digest, position, end = hashlib.sha256(), self.start, self.start + self.ticket.size
        held = b""
        while position < end:
            chunk = os.pread(self.fd, min(CHUNK_BYTES, end - position), position)
            if not chunk:
                raise HostileFileError("incomplete")
            digest.update(chunk)
            position += len(chunk)
            if held:
                yield held
            held = chunk
        if digest.hexdigest() != self.ticket.digest:
            raise HostileFileError("altered")
        yield held


def box_of(spool: str | os.PathLike[str]) -> str:
    """Path of a volume's drop box."""
    return Layout(os.fspath(spool)).at("offline")


def leave(box: str, submission: Submission, content: bytes, randbits: RandomBits = secrets.randbits) -> str:
    """Leave a message in the box; answers its name there. It is durable then.

    Raises:
        OSError: it is not there; nothing of it stays.
    """
    name = f"{randbits(128):032x}"
    ticket = Ticket(submission, len(content), hashlib.sha256(content).hexdigest())
    hidden = f"{box}/{_HIDDEN}{name}"
    fd = os.open(hidden, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, FILE_MODE)
    try:
        os.fchmod(fd, FILE_MODE)
        _write_all(fd, _MAGIC + msgspec.json.encode(ticket) + b"\n" + content)
        os.fsync(fd)
        os.rename(hidden, f"{box}/{name}")
        # The box can't be opened by who may not list it; syncing a file that was renamed syncs its name as well.
        os.fsync(fd)
    except BaseException:
        _forget(hidden)
        raise
    finally:
        os.close(fd)
    return name


class Box:
    """The service's side. ``incarnation`` names the process that takes, as its directory under ``pods`` is named."""

    def __init__(self, layout: Layout, disk: Disk, incarnation: Callable[[], str]) -> None:
        self._layout, self._disk, self._incarnation = layout, disk, incarnation
        self._known: set[tuple[int, int]] = set()

    def prepare(self) -> None:
        """Open the box to everybody, the rest to nobody.

        Raises:
            OSError: it can't be made, or somebody else owns it.
        """
        self._disk.mkdir(self._layout.at("taken"))
        self._disk.mkdir(self._layout.at("offline"))
        self._disk.sync_dir(self._layout.base)
        os.chmod(self._layout.at("offline"), BOX_MODE)
        for path in (self._layout.base, self._layout.root):
            found = os.stat(path)
            if found.st_uid == os.geteuid():
                os.chmod(path, stat.S_IMODE(found.st_mode) | PASSAGE)

    def take(self, limit: int, busy: set[str], now: float) -> tuple[list[str], list[tuple[str, Refusal]]]:
        """Take at most ``limit`` messages that nobody else has: paths of claims that are not ``busy``, ours from
        before included, and what was refused, by the name it had.

        Raises:
            OSError: the volume is out of order.
        """
        claims = self._claims(busy)
        refused: list[tuple[str, Refusal]] = []
        with os.scandir(self._layout.at("offline")) as entries:
            for entry in entries:
                if len(claims) + len(refused) >= limit:
                    break
                with suppress(FileNotFoundError):
                    self._consider(entry, now, claims, refused)
        return claims[:limit], refused

    def _consider(
        self, entry: "os.DirEntry[str]", now: float, claims: list[str], refused: list[tuple[str, Refusal]]
    ) -> None:
        found = entry.stat(follow_symlinks=False)
        plain = stat.S_ISREG(found.st_mode)
        if plain and _UNFINISHED.fullmatch(entry.name):
            if now - found.st_mtime > STALE_SECONDS:
                os.unlink(entry.path)
        elif plain and _NAME.fullmatch(entry.name):
            if claimed := self._claim(entry.path, entry.name):
                claims.append(claimed)
        elif (found.st_dev, found.st_ino) not in self._known:
            refused.append((entry.name, "garbage" if plain else "kind"))
            if not self.put_aside(entry.path) and len(self._known) < _MOST_REMEMBERED:
                self._known.add((found.st_dev, found.st_ino))

    def _claim(self, source: str, name: str) -> str:
        """Move a file to our claims; empty if somebody else was faster."""
        target = self._layout.at("taken", f"{name}~{self._incarnation()}")
        try:
            os.rename(source, target)
        except FileNotFoundError:
            # A reply of a server that was lost looks the same as another's success: only looking tells.
            return target if self._disk.exists(target) else ""
        return target

    def _claims(self, busy: set[str]) -> list[str]:
        """Claims of ours, and those of the dead, which become ours."""
        ours, found = self._incarnation(), []
        for name in self._disk.names(self._layout.at("taken")):
            parts, path = _CLAIMED.fullmatch(name), self._layout.at("taken", name)
            if parts is None or path in busy:
                continue
            if parts[2] != ours:
                path = self._claim(path, parts[1]) if self._is_over(parts[2]) else ""
            if path:
                found.append(path)
        return found

    def _is_over(self, incarnation: str) -> bool:
        """Whether a process can't take mail any more: it ended, or its block names another."""
        owner = read_owner(self._disk, f"{self._layout.home(incarnation)}/owner")
        return owner is None or owner.goodbye or owner.owner != incarnation

    @contextmanager
    def open(self, path: str) -> Iterator[Left]:
        """Open what was taken.

        Raises:
            HostileFileError: it is no message.
            OSError: the volume is out of order.
        """
        # Looked at before it is opened: opening a device may do things. Nobody else can exchange it here.
        _check(os.lstat(path))
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        except PermissionError:
            raise HostileFileError("unreadable") from None
        try:
            yield _read_ticket(fd)
        finally:
            os.close(fd)

    def done(self, path: str) -> None:
        """Forget a message that is in the queue now.

        Raises:
            OSError: the volume is out of order: it may be taken twice.
        """
        with suppress(FileNotFoundError):
            self._disk.unlink(path)
        self._disk.sync_dir(os.path.dirname(path))

    def put_aside(self, path: str) -> bool:
        """Move a file to ``corrupt``, for a person to look at; what is no plain file is removed. False if it stays."""
        try:
            if stat.S_ISREG(os.lstat(path).st_mode):
                os.rename(path, self._layout.at("corrupt", f"offline-{secrets.token_hex(8)}"))
            elif stat.S_ISDIR(os.lstat(path).st_mode):
                os.rmdir(path)
            else:
                os.unlink(path)
        except OSError:
            return False
        return True


def _check(found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise HostileFileError("kind")
    if found.st_nlink != 1:
        raise HostileFileError("links")


def _read_ticket(fd: int) -> Left:
    found = os.fstat(fd)
    _check(found)
    line, separator, _ = os.pread(fd, TICKET_BYTES, 0).partition(b"\n")
    if not separator or not line.startswith(_MAGIC):
        raise HostileFileError("garbage")
    try:
        ticket = msgspec.json.decode(line.removeprefix(_MAGIC), type=Ticket)
    except msgspec.MsgspecError:
        raise HostileFileError("garbage") from None
    if ticket.size < 0 or found.st_size != len(line) + 1 + ticket.size:
        raise HostileFileError("incomplete")
    return Left(fd, ticket, found.st_uid, found.st_mtime, len(line) + 1)


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _forget(path: str) -> None:
    with suppress(OSError):
        os.unlink(path)
