"""Log lines of the operator: JSON on standard error, a line an event."""

import logging
import sys
from datetime import UTC, datetime
from typing import Final

import msgspec

MAX_TEXT: Final = 4_000
_QUIET: Final = ("kopf", "aiohttp", "asyncio")


class JsonLines(logging.Formatter):
    """One JSON object a line; control characters are escaped by it."""

    def format(self, record: logging.LogRecord) -> str:
        """Make the line."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage()[:MAX_TEXT],
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)[-MAX_TEXT:]
        return msgspec.json.encode(line).decode()


def log_json(level: str) -> None:
    """Send all log lines to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    # Its retries of a request that went wrong are no errors.
    logging.getLogger("kopf._cogs.clients").setLevel(logging.CRITICAL)
