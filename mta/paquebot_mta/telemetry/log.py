"""The log: one line a state change, as JSON on stdout or as readable text on a terminal. A consumer of the bus.

What others say goes through a structlog logger of its own (nothing global). Lines of events, five a message, are made
without it: its machinery takes 3 µs a line, as long as all the rest.
"""

import sys
import time
from collections.abc import Callable, Mapping, MutableMapping
from functools import partial
from typing import Any, Final, Literal, TextIO, cast

import structlog
from structlog.typing import FilteringBoundLogger

from paquebot_mta.telemetry.bus import Handler
from paquebot_mta.telemetry.events import ConfigEvent, Event, LinkAuth, LinkConnect, LinkDisconnect
from paquebot_mta.telemetry.loglines import FORMS, LOUDEST, Fields, Title
from paquebot_mta.telemetry.lognames import LOG_NAMES, Level
from paquebot_mta.telemetry.privacy import Privacy
from paquebot_mta.telemetry.render import Head, Render, Timestamps, Value, render_json, render_text
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

    Attributes:
        lines: how many were written, by level.
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
    ) -> None:
        self.privacy = privacy or Privacy()
        self._write = sink.write
        self._render = render
        self._pod = pod
        self._generation = 0
        self._timestamps = Timestamps(wall_clock)
        self.lines: dict[Level, int] = dict.fromkeys(_LEVELS, 0)
        self._sources: dict[str, str] = {}
        self._heads: dict[Title, Head] = {}
        self._followers: Mapping[type, Handler] = {
            LinkConnect: self._connected,
            LinkDisconnect: self._disconnected,
            ConfigEvent: self._configured,
        }
        self._logger = self._at(level)

    def configure(self, level: Level, privacy: Privacy) -> None:
        """Take new settings, from the next line on; let the bus choose again, for other events may be wanted now."""
        self.privacy = privacy
        self._logger = self._at(level)

    def handler_of(self, kind: type) -> Handler | None:
        """Choose what logs events of a class, None if all of them are too quiet; the bus asks."""
        if kind not in FORMS or _LEVELS[LOUDEST.get(kind, "error")] < self._threshold:
            return None
        write, follow = self._writer(kind), self._followers.get(kind)
        if follow is None:
            return write

        def follow_and_write(event: Event) -> None:
            follow(event)
            write(event)

        return follow_and_write

    def consume(self, event: Event) -> None:
        """Log one event, apart from a bus, if it is loud enough."""
        if (handler := self.handler_of(type(event))) is not None:
            handler(event)

    def write(self, level: Level, event: str, fields: Mapping[str, Value]) -> None:
        """Write one line; ``event`` is from the catalogue and ``fields`` hold no personal data."""
        self._logger.log(_LEVELS[level], event, **fields)

    def _writer(self, kind: type) -> Handler:
        """Make what logs events of a class by the settings in force; they are bound, so it can't outlive them."""
        title_of, fields_of = FORMS[kind].title, FORMS[kind].fields
        privacy, threshold, put = self.privacy, self._threshold, self._write
        if kind is LinkAuth:
            fields_of = self._with_source

        def write(event: Event) -> None:
            title = title_of(event)
            if _LEVELS[title[0]] >= threshold:
                put(self._line(title, fields_of(event, privacy)))

        return write

    def _at(self, level: Level) -> FilteringBoundLogger:
        self._threshold = _LEVELS[level]
        bound = structlog.make_filtering_bound_logger(self._threshold)
        make = cast(Callable[..., FilteringBoundLogger], bound)
        return make(_Writer(self._write), [self._process], {})

    def _process(self, _: object, method: str, line: MutableMapping[str, Any]) -> bytes:
        """Make a line bytes: structlog's only processor."""
        event = line.pop("event")
        return self._line((cast(Level, method), event), {**line})

    def _line(self, title: Title, fields: Fields) -> bytes:
        head = self._heads.get(title)
        if head is None:
            head = self._heads[title] = self._head(title)
        self.lines[title[0]] += 1
        return self._render(head, self._timestamps.now(), fields)

    def _head(self, title: Title) -> Head:
        """Make what all lines of a title share until the next configuration; titles are few."""
        level, event = title
        name = LOG_NAMES.get(event)
        return Head(level, event, name.component if name else "log", self._pod, self._generation)

    def _with_source(self, event: LinkAuth, privacy: Privacy) -> Fields:
        """Show the client's address whole in a failed AUTH's line."""
        fields = FORMS[LinkAuth].fields(event, privacy)
        if event.result != "pass" and event.session in self._sources:
            fields["source"] = self._sources[event.session]
        return fields

    def _connected(self, event: LinkConnect) -> None:
        """Keep clients' addresses while sessions last: the line of a failed AUTH wants them."""
        if event.direction == "in" and len(self._sources) < _MAX_SOURCES:
            self._sources[event.session] = event.source

    def _disconnected(self, event: LinkDisconnect) -> None:
        self._sources.pop(event.session, None)

    def _configured(self, event: ConfigEvent) -> None:
        if event.change == "loaded":
            self._generation = event.generation
            self._heads.clear()


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
