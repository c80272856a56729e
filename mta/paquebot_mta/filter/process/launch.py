"""Becomes a filter: dies with whoever started it, has no core dumps, and then is the program.

Run by path in an isolated interpreter: ``python -I -S launch.py PARENT PROGRAM ARGUMENT ...``. It imports nothing of
ours, for it must be quick, and it sets the signal in the process itself, where no other thread is.
"""

import ctypes
import os
import resource
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Set the process up and replace it."""
    parent, *command = sys.argv[1:]
    # prctl(2): the signal comes when the thread that started us ends, the event loop's.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != int(parent):
        sys.exit("its parent ended first")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.umask(0o077)
    try:
        os.execvp(command[0], command)  # noqa: S606 - no shell is the point
    except OSError as error:
        sys.exit(f"{command[0]} can't be run: {error.strerror}")


if __name__ == "__main__":
    main()
