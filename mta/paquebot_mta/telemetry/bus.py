"""The one event bus: whoever sees something happen emits it once; metrics, logs and report subscribers consume it."""

from collections.abc import Callable

from paquebot_mta.telemetry.events import Event

Consumer = Callable[[Event], None]
Emit = Callable[[Event], None]


class Bus:
    """Hands each event to each consumer, at once, in order, on the caller's thread (the event loop's)."""

    def __init__(self) -> None:
        """Start with no consumers."""
        self._consumers: tuple[Consumer, ...] = ()
        self.dropped = 0

    def subscribe(self, consumer: Consumer) -> None:
        """Add a consumer; it must return fast and keep nothing waiting (slow ones queue for themselves)."""
        self._consumers = (*self._consumers, consumer)

    def unsubscribe(self, consumer: Consumer) -> None:
        """Remove a consumer."""
        self._consumers = tuple(each for each in self._consumers if each is not consumer)

    def emit(self, event: Event) -> None:
        """Tell everyone. A consumer that raises loses its event, never anyone else's time."""
        for consumer in self._consumers:
            try:
                consumer(event)
            except Exception:
                self.dropped += 1
