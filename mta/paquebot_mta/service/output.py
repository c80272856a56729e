"""The process's log: made once, fed by the bus and by libraries, reconfigured with each configuration."""

import os
import secrets
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from paquebot_mta.config.service import Logging
from paquebot_mta.service.options import Options
from paquebot_mta.telemetry.bridge import install_bridge
from paquebot_mta.telemetry.bus import Bus
from paquebot_mta.telemetry.log import Log, renderer
from paquebot_mta.telemetry.lognames import Level
from paquebot_mta.telemetry.metrics import Metrics
from paquebot_mta.telemetry.privacy import privacy_of
from paquebot_mta.telemetry.sink import BufferedSink

PSEUDONYM_KEY = "pseudonym.key"
KEY_BYTES = 32


class Output:
    """Log lines to standard output.

    Attributes:
        lost: what each consumer of events lost so far, by its name in metrics.
    """

    def __init__(self, options: Options, bus: Bus, metrics: Metrics) -> None:
        """Start writing; ``options.log_level`` beats the configuration's."""
        self._options = options
        self._sink = BufferedSink(sys.stdout.fileno())
        self._fallback_key = _fallback_key(options.spool / PSEUDONYM_KEY)
        self.lost: dict[str, Callable[[], int]] = {"bus": lambda: bus.dropped, "log": lambda: self._sink.dropped}
        metrics.read("paquebot_report_dropped_total", lambda: {(name,): lost() for name, lost in self.lost.items()})
        self.log = Log(
            self._sink,
            render=renderer(options.log_format),
            pod=options.pod or f"worker-{options.worker or 0}",
        )
        metrics.read("paquebot_log_lines_total", lambda: {(level,): lines for level, lines in self.log.lines.items()})
        self._undo: Callable[[], None] = install_bridge(self.log)
        self._bus = bus
        bus.subscribe(self.log)

    def configure(self, settings: Logging) -> None:
        """Take a configuration's settings."""
        level: Level = _level(self._options.log_level) or settings.level
        self.log.configure(level, privacy_of(settings, self._fallback_key))
        self._bus.choose_again()

    def close(self) -> None:
        """Write what is buffered."""
        self._undo()
        self._sink.close()


def _level(name: str) -> Level | None:
    """Read a level's name; an empty one is none."""
    levels: tuple[Level, ...] = ("debug", "info", "warning", "error")
    return next((level for level in levels if level == name), None)


def _fallback_key(path: Path) -> bytes:
    """Without a key of the configuration's: the volume's own, so that all processes on it show one person alike.

    The first process makes it; where that is impossible pseudonyms hold for this process only.
    """
    key = secrets.token_bytes(KEY_BYTES)
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft.touch(mode=0o600)
        draft.write_bytes(key)
        # A link is made once: whoever comes second reads the first one's key, whole.
        with suppress(FileExistsError):
            os.link(draft, path)
        draft.unlink()
        return path.read_bytes()[:KEY_BYTES]
    except OSError:
        return key
