"""Who is given the stream of report events, apart from filters."""

from typing import Literal

from paquebot_mta.config.base import Value


class Subscriber(Value, frozen=True, kw_only=True):
    """A program, a socket or a file that gets the events as lines, ``SEQUENCE|report|0.7|...``.

    Attributes:
        command: program and arguments, run as a child that reads them from its standard input.
        socket: path of a unix socket where somebody listens.
        file: path; it is rotated at ``max_bytes`` and ``keep`` old ones stay. Each process has its own, with
            its name behind if there are several.
        subsystems: of which sessions. events: names, none for all.
        waiting_bytes: what may wait for a slow one; it loses what comes beyond.
    """

    command: tuple[str, ...] = ()
    socket: str = ""
    file: str = ""
    subsystems: tuple[Literal["smtp-in", "smtp-out"], ...] = ("smtp-in", "smtp-out")
    events: tuple[str, ...] = ()
    max_bytes: int = 104_857_600
    keep: int = 5
    waiting_bytes: int = 4_194_304
