"""Metrics: the bus consumer that counts, and the text that Prometheus reads. Nothing else counts mail events."""

import time
from collections.abc import Callable
from functools import partial

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

from paquebot_mta.telemetry.count_other import COUNT_OTHER
from paquebot_mta.telemetry.count_sessions import COUNT_SESSIONS, Count, count_reports
from paquebot_mta.telemetry.count_transactions import COUNT_TRANSACTIONS
from paquebot_mta.telemetry.dialogues import Dialogues
from paquebot_mta.telemetry.events import ConfigEvent, Event
from paquebot_mta.telemetry.store import Read, Store


class Metrics:
    """Counts what the bus says.

    Args:
        resource: name of the MailService, for the configuration's metrics.
        monotonic: seconds, for durations of commands. wall_clock: seconds since 1970.

    Attributes:
        registry: of its own, with nothing but the catalogue.
        resource: may be changed once the configuration is known.
    """

    def __init__(
        self,
        resource: str = "",
        *,
        monotonic: Callable[[], float] = time.perf_counter,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self.registry = CollectorRegistry()
        self._store = Store()
        self.registry.register(self._store)
        self.resource = resource
        self._wall_clock = wall_clock
        dialogues = Dialogues(self._store, monotonic)
        sessions = {kind: count(self._store, dialogues) for kind, count in COUNT_SESSIONS.items()}
        others = {**COUNT_TRANSACTIONS, **COUNT_OTHER}
        self._counts = {**sessions, **{kind: count(self._store) for kind, count in others.items()}}
        self._counts[ConfigEvent] = self._configured
        self._store.derive(partial(count_reports, self._store))

    def handler_of(self, kind: type) -> Count | None:
        """Choose what counts events of a class; the bus asks."""
        return self._counts.get(kind)

    def consume(self, event: Event) -> None:
        """Count one event, apart from a bus."""
        if (count := self._counts.get(type(event))) is not None:
            count(event)

    def read(self, name: str, read: Read) -> None:
        """Let a gauge of the catalogue be read at each scrape: a number, or numbers by label tuple.

        Raises:
            KeyError: the catalogue doesn't have it.
        """
        self._store.read(name, read)

    def set(self, name: str, value: float, *labels: str) -> None:
        """Set a gauge of the catalogue.

        Raises:
            KeyError: the catalogue doesn't have it.
        """
        self._store.series(name).set(labels, value)

    def observe(self, name: str, value: float, *labels: str) -> None:
        """Put a value into a histogram of the catalogue that no event feeds (the event loop's lag).

        Raises:
            KeyError: the catalogue doesn't have it.
        """
        self._store.series(name).observe(labels, value)

    def add(self, name: str, amount: float, *labels: str) -> None:
        """Count what no event tells (log lines).

        Raises:
            KeyError: the catalogue doesn't have it.
        """
        self._store.series(name).add(labels, amount)

    def _configured(self, event: ConfigEvent) -> None:
        loaded = event.change == "loaded"
        self.add("paquebot_config_reloads_total", 1, event.change)
        self.set("paquebot_config_last_reload_successful", float(loaded))
        if not loaded:
            return
        self.set("paquebot_config_last_reload_success_timestamp_seconds", self._wall_clock())
        self.set("paquebot_config_generation", event.generation, self.resource)
        self._store.series("paquebot_config_info").clear()
        self.set("paquebot_config_info", 1, self.resource, event.digest[:8])


def exposition(registry: CollectorRegistry) -> bytes:
    """Spell all metrics in Prometheus' text format 0.0.4; some milliseconds, so call it off the event loop."""
    return generate_latest(registry)
