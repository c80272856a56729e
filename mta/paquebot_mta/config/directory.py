"""A configuration's files on disk, swapped as the kubelet swaps them: readers never see a mix of versions.

``DIR/index.json`` is a symlink to ``..data/index.json``, ``..data`` one to a directory of a version, and a rename of
``..data`` changes all files at once (Kubernetes, AtomicWriter). Blocking: call it off the event loop.
"""

import errno
import os
import re
import secrets
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from paquebot_mta.config.errors import ConfigError

DATA: Final = "..data"
MAX_FILE_BYTES: Final = 1_048_576
"""A Secret or ConfigMap holds no more."""
MAX_FILES: Final = 256
MAX_READS: Final = 16
MAX_WRITES: Final = 16

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9.-]{0,62}\.json")
_VERSION: Final = re.compile(r"\.\.[0-9]{4}_.*")
_TEMPORARY_LINK: Final = "..data_tmp"

Signature = tuple[object, ...]


def signature(path: Path) -> Signature:
    """Say which version is there: cheap, and different whenever the content may be; empty if nothing is there."""
    try:
        return (os.readlink(path / DATA),)
    except OSError:
        return _plain_signature(path)


def read_directory(path: Path) -> dict[str, bytes]:
    """Read all ``*.json`` files of one version.

    Raises:
        ConfigError: there is no such directory, a file is too big or not a file, or the version never stays long
            enough to be read.
    """
    for _ in range(MAX_READS):
        before = signature(path)
        try:
            files = _read_once(path)
        except FileNotFoundError:
            if before == signature(path):
                raise ConfigError(str(path), "there is no configuration") from None
            continue
        except OSError as error:
            raise ConfigError(str(path), f"can't be read: {error.strerror}") from error
        if before == signature(path):
            return files
    raise ConfigError(str(path), "changes faster than it can be read")


def write_directory(path: Path, files: Mapping[str, bytes]) -> None:
    """Make ``files`` the version that readers see, durably; the ones before are removed.

    The directory is made in one that exists: a volume that is away is not made anew, which would hinder its return.
    Pods that share a volume write at the same moment, and may take each other's version for an old one. So each looks
    whether its files are there, whoever wrote them, and else writes again: whoever removed something looks after that.

    Raises:
        OSError: the disk refused, and the version before is still the visible one; or others never left it alone.
    """
    for attempt in range(MAX_WRITES):
        if _holds(path, files):
            return
        # Not all at once again.
        time.sleep(attempt * secrets.randbelow(10) / 1_000)
        path.mkdir(mode=0o700, exist_ok=True)
        with suppress(FileNotFoundError, FileExistsError):
            _write_once(path, files)
    if not _holds(path, files):
        raise OSError(errno.EBUSY, "others write the same directory all the time")


def _holds(path: Path, files: Mapping[str, bytes]) -> bool:
    """Whether these files are the visible version, whoever wrote it."""
    try:
        return read_directory(path) == files
    except ConfigError:
        return False


def _write_once(path: Path, files: Mapping[str, bytes]) -> None:
    prefix = datetime.now(UTC).strftime("..%Y_%m_%d_%H_%M_%S.")
    version = Path(tempfile.mkdtemp(prefix=prefix, dir=path))
    for name, content in files.items():
        _write_file(version / name, content)
    _sync(version)
    _point(path, DATA, version.name)
    _sync(path)
    _show(path, files)
    _sweep(path, version.name)


def _plain_signature(path: Path) -> Signature:
    """Describe a directory that somebody wrote by hand, without ``..data``."""
    try:
        entries = sorted((entry for entry in os.scandir(path) if _NAME.fullmatch(entry.name)), key=lambda e: e.name)
        stats = ((entry.name, entry.stat()) for entry in entries)
        return tuple((name, found.st_mtime_ns, found.st_size, found.st_ino) for name, found in stats)
    except OSError:
        return ()


def _read_once(path: Path) -> dict[str, bytes]:
    """Read the version that is visible now, through one descriptor, so that a swap can't mix two."""
    with _opened(path) as directory:
        names = sorted(name for name in os.listdir(directory) if _NAME.fullmatch(name))
        if len(names) > MAX_FILES:
            raise ConfigError(str(path), f"holds {len(names)} files, at most {MAX_FILES} are read")
        return {name: _read_file(directory, name) for name in names}


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    target = path / DATA
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
    directory = os.open(target if target.is_symlink() else path, flags)
    try:
        yield directory
    finally:
        os.close(directory)


def _read_file(directory: int, name: str) -> bytes:
    # O_NONBLOCK: a FIFO in the directory must not hold us up.
    descriptor = os.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ConfigError(name, "is not a file")
        content = file.read(MAX_FILE_BYTES + 1)
    if len(content) > MAX_FILE_BYTES:
        raise ConfigError(name, f"is bigger than {MAX_FILE_BYTES} bytes")
    return content


def _write_file(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)


def _point(path: Path, link: str, target: str) -> None:
    """Make a symlink, or swap it, by one rename."""
    # Of this writer alone: another's link, taken for ours, would show one file under the name of another.
    temporary = path / f"{_TEMPORARY_LINK}.{secrets.token_hex(4)}"
    temporary.symlink_to(target)
    temporary.replace(path / link)


def _show(path: Path, files: Mapping[str, bytes]) -> None:
    """Keep one visible symlink a file, through ``..data``."""
    for name in files:
        target = f"{DATA}/{name}"
        if not (path / name).is_symlink() or os.readlink(path / name) != target:
            _point(path, name, target)
    for entry in path.iterdir():
        if _NAME.fullmatch(entry.name) and entry.name not in files:
            entry.unlink()


def _sweep(path: Path, keep: str) -> None:
    """Remove versions that nobody sees, those of a crashed writer too."""
    for entry in path.iterdir():
        if _VERSION.fullmatch(entry.name) and entry.name != keep:
            shutil.rmtree(entry, ignore_errors=True)


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        # Some network file systems refuse to sync a directory; the rename is atomic on them all the same.
        with suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
