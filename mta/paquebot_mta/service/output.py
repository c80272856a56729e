"""The process's log: made once, fed by the bus and by libraries, reconfigured with each configuration."""

import secrets
import sys
from collections.abc import Callable

from paquebot_mta.config.service import Logging
from paquebot_mta.service.options import Options
from paquebot_mta.telemetry.bridge import install_bridge
from paquebot_mta.telemetry.bus import Bus
from paquebot_mta.telemetry.log import Log, renderer
from paquebot_mta.telemetry.lognames import Level
from paquebot_mta.telemetry.metrics import Metrics
from paquebot_mta.telemetry.privacy import privacy_of
from paquebot_mta.telemetry.sink import BufferedSink


class Output:
    """Log lines to standard output."""

    def __init__(self, options: Options, bus: Bus, metrics: Metrics) -> None:
        """Start writing; ``options.log_level`` beats the configuration's."""
        self._options = options
        self._sink = BufferedSink(sys.stdout.fileno())
        # Without a key of the configuration's, pseudonyms hold for this process only, and can't be guessed.
        self._fallback_key = secrets.token_bytes(32)
        metrics.read("paquebot_report_dropped_total", lambda: {("bus",): bus.dropped, ("log",): self._sink.dropped})
        self.log = Log(
            self._sink,
            render=renderer(options.log_format),
            pod=options.pod or f"worker-{options.worker or 0}",
            on_line=lambda level: metrics.add("paquebot_log_lines_total", 1, level),
        )
        self._undo: Callable[[], None] = install_bridge(self.log)
        bus.subscribe(self.log.consume)

    def configure(self, settings: Logging) -> None:
        """Take a configuration's settings."""
        level: Level = _level(self._options.log_level) or settings.level
        self.log.configure(level, privacy_of(settings, self._fallback_key))

    def close(self) -> None:
        """Write what is buffered."""
        self._undo()
        self._sink.close()


def _level(name: str) -> Level | None:
    """Read a level's name; an empty one is none."""
    levels: tuple[Level, ...] = ("debug", "info", "warning", "error")
    return next((level for level in levels if level == name), None)
