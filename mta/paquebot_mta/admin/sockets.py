"""Unix sockets in the runtime directory: bound without a moment in which others could connect."""

import contextlib
import os
import socket
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

BACKLOG: Final = 64
PATTERN: Final = "worker-*.sock"
MOST_WORKERS: Final = 64


@dataclass(frozen=True)
class BoundSocket:
    """A listening socket, not blocking, and its place in the file system."""

    listening: socket.socket
    path: Path
    inode: int

    def remove(self) -> None:
        """Remove it from its place, unless another process has put its own there."""
        with contextlib.suppress(FileNotFoundError):
            if os.stat(self.path).st_ino == self.inode:
                self.path.unlink()


def submit_socket(worker: int) -> str:
    """Name the socket at which a worker takes mail of the programs of this machine."""
    return f"submit-{worker}.sock"


def bind_private(path: Path) -> BoundSocket:
    """Listen on a socket of mode 0600 at that path, instead of whatever socket is there.

    It is bound in a new directory of mode 0700 and moved to its place: the umask is the whole process's, and stays.

    Raises:
        OSError: it can't be made; FileExistsError if something else than a socket is there.
    """
    if path.exists() and not path.is_socket():
        raise FileExistsError(f"{path} is there and no socket")
    path.parent.mkdir(parents=True, exist_ok=True)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with tempfile.TemporaryDirectory(prefix=".", dir=path.parent) as directory:
            temporary = Path(directory, "s")
            listening.bind(str(temporary))
            temporary.chmod(0o600)
            listening.listen(BACKLOG)
            temporary.rename(path)
    except OSError:
        listening.close()
        raise
    listening.setblocking(False)
    return BoundSocket(listening, path, os.stat(path).st_ino)
