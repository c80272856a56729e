"""Damaged bytes are kept for a person to look at; nothing here is ever read again by the spool."""

from typing import Final

from paquebot_mta.spool.disk import Disk, write_file
from paquebot_mta.spool.layout import Layout

_LIMIT_BYTES: Final = 1024 * 1024


def quarantine(disk: Disk, layout: Layout, name: str, data: bytes) -> None:
    """Keep at most 1 MiB under ``corrupt/``; the same damage found twice is kept once. Best effort: it must not stop
    a recovery."""
    try:
        write_file(disk, layout.at("corrupt", name), data[:_LIMIT_BYTES])
    except OSError:
        return


def evidence_name(path: str, start: int) -> str:
    """Name the copy of a damaged stretch after its segment and position."""
    incarnation, segment = path.rsplit("/", 2)[-2:]
    return f"{incarnation}.{segment}.{start:012x}"
