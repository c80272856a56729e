"""The log: one line a state change, as JSON on stdout or as readable text on a terminal. A consumer of the bus.

A structlog logger of its own (nothing global): one processor makes the bytes, a sink takes them.
"""

import sys
import time
from collections.abc import Callable, Mapping, MutableMapping
from functools import partial
from typing import Any, Final, Literal, TextIO, cast

import structlog
from structlog.typing import FilteringBoundLogger

from paquebot_mta.telemetry.events import ConfigEvent, Event, LinkAuth, LinkConnect, LinkDisconnect
from paquebot_mta.telemetry.loglines import LOUDEST, line_of, loudness
from paquebot_mta.telemetry.lognames import LOG_NAMES, Level
from paquebot_mta.telemetry.privacy import Privacy
from paquebot_mta.telemetry.render import Render, Timestamps, Value, render_json, render_text
from paquebot_mta.telemetry.sink import Sink

Format = Literal["auto", "json", "text"]

_LEVELS: Final[Mapping[Level, int]] = {"debug": 10, "info": 20, "warning": 30, "error": 40}
_MAX_SOURCES: Final = 100_000


class Log:
    """Writes log lines.

    Args:
        sink: takes the lines.
        render: makes bytes of them; see ``renderer``.
        level: quieter lines aren't made.
        privacy: how addresses are shown.
        pod: name of the pod or process, in every line.
        wall_clock: seconds since 1970.
        on_line: hears of each line's level (a counter).
    """

    def __init__(
        self,
        sink: Sink,
        *,
        render: Render = render_json,
        level: Level = "info",
        privacy: Privacy | None = None,
        pod: str = "",
        wall_clock: Callable[[], float] = time.time,
        on_line: Callable[[Level], None] = lambda level: None,
    ) -> None:
        self.privacy = privacy or Privacy()
        self._write = sink.write
        self._render = render
        self._pod = pod
        self._generation = 0
        self._timestamps = Timestamps(wall_clock)
        self._on_line = on_line
        self._sources: dict[str, str] = {}
        self._logger = self._at(level)

    def configure(self, level: Level, privacy: Privacy) -> None:
        """Take new settings, from the next line on."""
        self.privacy = privacy
        self._logger = self._at(level)

    def consume(self, event: Event) -> None:
        """Log one event, if it is loud enough; subscribe this to the bus."""
        if type(event) in self._quiet:
            return
        self._follow(event)
        level = loudness(event)
        if _LEVELS[level] < self._threshold:
            return
        line = line_of(event, self.privacy)
        if line is None:
            return
        name, fields = line
        if isinstance(event, LinkAuth) and event.result != "pass" and event.session in self._sources:
            fields["source"] = self._sources[event.session]
        self.write(level, name, fields)

    def write(self, level: Level, event: str, fields: Mapping[str, Value]) -> None:
        """Write one line; ``event`` is from the catalogue and ``fields`` hold no personal data."""
        self._logger.log(_LEVELS[level], event, **fields)

    def _at(self, level: Level) -> FilteringBoundLogger:
        self._threshold = _LEVELS[level]
        self._quiet = frozenset(kind for kind, loudest in LOUDEST.items() if _LEVELS[loudest] < self._threshold)
        bound = structlog.make_filtering_bound_logger(self._threshold)
        make = cast(Callable[..., FilteringBoundLogger], bound)
        return make(_Writer(self._write), [self._process], {})

    def _process(self, _: object, method: str, line: MutableMapping[str, Any]) -> bytes:
        """Complete a line and make it bytes: the only processor, for each further one costs a microsecond."""
        event = line.pop("event")
        name = LOG_NAMES.get(event)
        head: dict[str, Value] = {
            "ts": self._timestamps.now(),
            "level": method,
            "event": event,
            "component": name.component if name else "log",
            "pod": self._pod,
            "gen": self._generation,
        }
        self._on_line(method)  # type: ignore[arg-type]
        return self._render({**head, **line})

    def _follow(self, event: Event) -> None:
        """Keep the generation, and clients' addresses while sessions last: a failed AUTH's line shows them whole."""
        if isinstance(event, LinkConnect):
            if event.direction == "in" and len(self._sources) < _MAX_SOURCES:
                self._sources[event.session] = event.source
        elif isinstance(event, LinkDisconnect):
            self._sources.pop(event.session, None)
        elif isinstance(event, ConfigEvent) and event.change == "loaded":
            self._generation = event.generation


class _Writer:
    """What structlog hands the processed line to."""

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self.debug = self.info = self.warning = self.error = write


def renderer(wanted: Format, stream: TextIO = sys.stdout) -> Render:
    """Choose the form: ``auto`` is text on a terminal and JSON elsewhere; colours only on a terminal."""
    terminal = stream.isatty()
    if wanted == "json" or (wanted == "auto" and not terminal):
        return render_json
    return partial(render_text, colour=terminal)
