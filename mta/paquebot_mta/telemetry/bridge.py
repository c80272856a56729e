"""What libraries say through the standard library's logging goes into the same log."""

import logging
from collections.abc import Callable
from typing import Final

from paquebot_mta.telemetry.log import Log
from paquebot_mta.telemetry.lognames import Level
from paquebot_mta.telemetry.render import Value

_MAX_TRACE: Final = 2_000


class LogHandler(logging.Handler):
    """Writes records as ``library.message``, scrubbed: libraries quote what they were fed."""

    def __init__(self, log: Log, level: int = logging.WARNING) -> None:
        super().__init__(level)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record; a record that can't be formatted is named, not raised."""
        try:
            message = record.getMessage()
        except Exception:
            message = "(the message can't be formatted)"
        scrub = self._log.privacy.scrub
        fields: dict[str, Value] = {"logger": record.name, "message": scrub(message)}
        if record.exc_info and record.exc_info[1] is not None:
            fields["exception"] = scrub(_trace(record)[-_MAX_TRACE:])
        self._log.write(_level(record.levelno), "library.message", fields)


def install_bridge(log: Log, level: int = logging.WARNING) -> Callable[[], None]:
    """Send the root logger's records, warnings of the interpreter included, to ``log``.

    Returns:
        A function that undoes it.
    """
    handler = LogHandler(log, level)
    root = logging.getLogger()
    before = root.handlers[:]
    root.handlers[:] = [handler]
    logging.captureWarnings(capture=True)

    def undo() -> None:
        logging.captureWarnings(capture=False)
        root.handlers[:] = before

    return undo


def _trace(record: logging.LogRecord) -> str:
    return logging.Formatter().formatException(record.exc_info) if record.exc_info else ""


def _level(number: int) -> Level:
    if number >= logging.ERROR:
        return "error"
    return "warning" if number >= logging.WARNING else "info" if number >= logging.INFO else "debug"
