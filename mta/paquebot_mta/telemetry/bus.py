"""The one event bus: whoever sees something happen emits it once; metrics, logs and report subscribers consume it."""

from collections.abc import Callable
from typing import Any, Protocol

from paquebot_mta.telemetry.events import Event

Consumer = Callable[[Event], None]
Emit = Callable[[Event], None]
Handler = Callable[[Any], None]
"""Takes events of the one class that it was chosen for."""


class Chooser(Protocol):
    """A consumer that wants some classes of events only, each by a handler of its own."""

    def handler_of(self, kind: type) -> Handler | None:
        """Choose what takes the events of a class; None if they aren't wanted."""
        ...


class _Handlers(dict[type, tuple[Handler, ...]]):
    """Who takes each class of events; asked when the first one comes."""

    def __init__(self, consumers: tuple[Consumer | Chooser, ...]) -> None:
        super().__init__()
        self._consumers = consumers

    def __missing__(self, kind: type) -> tuple[Handler, ...]:
        chosen = (each if callable(each) else each.handler_of(kind) for each in self._consumers)
        return self.setdefault(kind, tuple(handler for handler in chosen if handler is not None))


class Bus:
    """Hands each event to each consumer, at once, in order, on the caller's thread (the event loop's).

    Who wants a class of events is asked once, not for each event: half of a session's events are for the debug log
    and nobody else, and cost a look-up.
    """

    def __init__(self) -> None:
        """Start with no consumers."""
        self._consumers: tuple[Consumer | Chooser, ...] = ()
        self._handlers = _Handlers(())
        self.dropped = 0

    def subscribe(self, consumer: Consumer | Chooser) -> None:
        """Add a consumer; it must return fast and keep nothing waiting (slow ones queue for themselves)."""
        self._consumers = (*self._consumers, consumer)
        self.choose_again()

    def unsubscribe(self, consumer: Consumer | Chooser) -> None:
        """Remove a consumer."""
        self._consumers = tuple(each for each in self._consumers if each is not consumer)
        self.choose_again()

    def choose_again(self) -> None:
        """Ask the consumers anew from the next event on; for those that changed their minds (a log's level)."""
        # A new table, for an event that is being handed out (and made its consumer subscribe) uses the old one.
        self._handlers = _Handlers(self._consumers)

    def emit(self, event: Event) -> None:
        """Tell everyone. A consumer that raises loses its event, never anyone else's time."""
        for handle in self._handlers[type(event)]:
            try:
                handle(event)
            except Exception:
                self.dropped += 1
