"""The operator's own metrics."""

from collections.abc import Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from paquebot_operator.compile.objects import ObjectKey

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
SERVICE_CONDITIONS: Final = ("Accepted", "ResolvedRefs", "Programmed", "Ready")
"""Those of a MailService that are told as numbers."""


class Metrics:
    """Counts and times; names begin with ``paquebot_operator_``."""

    def __init__(self) -> None:
        registry = self._registry = CollectorRegistry()
        prefix = "paquebot_operator_"
        self._requests = Counter(
            f"{prefix}api_requests", "Requests to the API server; code 0 is no answer.", ["verb", "resource", "code"],
            registry=registry,
        )  # fmt: skip
        self._request_seconds = Histogram(
            f"{prefix}api_request_duration_seconds", "Time of requests to the API server.", ["verb"], buckets=_SECONDS,
            registry=registry,
        )  # fmt: skip
        self._passes = Counter(
            f"{prefix}reconciles",
            "Passes over a MailService: written, unchanged, refused (its status says what), or failed and tried again.",
            ["result"], registry=registry,
        )  # fmt: skip
        self._pass_seconds = Histogram(
            f"{prefix}reconcile_duration_seconds", "Time of a pass.", buckets=_SECONDS, registry=registry
        )
        self._programming_seconds = Histogram(
            f"{prefix}programming_seconds", "From a change seen to every ready pod running it.", buckets=_SECONDS,
            registry=registry,
        )  # fmt: skip
        self._config_writes = Counter(f"{prefix}config_writes", "Config Secrets written.", registry=registry)
        whose = ["resource_namespace", "resource_name"]
        self._config_bytes = Gauge(f"{prefix}config_bytes", "Size of a configuration.", whose, registry=registry)
        self._domains = Gauge(
            f"{prefix}domains", "MailDomains of a MailService.", [*whose, "state"], registry=registry
        )  # fmt: skip
        self._unprogrammed = Gauge(
            f"{prefix}pods_not_programmed", "Ready pods that don't run the newest configuration.", whose,
            registry=registry,
        )  # fmt: skip
        self._conditions = Gauge(
            f"{prefix}service_condition", "1 while a MailService's condition is True, else 0.", [*whose, "type"],
            registry=registry,
        )  # fmt: skip
        self.watch_last_event = Gauge(
            f"{prefix}watch_last_event_timestamp_seconds", "When a kind's last event came.", ["resource"],
            registry=registry,
        )  # fmt: skip
        self.resyncs = Counter(f"{prefix}resyncs", "Full lists that replaced the store.", ["reason"], registry=registry)
        self.resync_missed = Counter(
            f"{prefix}resync_missed", "Changes that a full list told and no event had.", ["resource"], registry=registry
        )
        self.last_resync = Gauge(
            f"{prefix}last_resync_timestamp_seconds", "When the last one ended.", registry=registry
        )
        self.leader = Gauge(f"{prefix}leader", "1 while this operator holds the Lease.", registry=registry)
        self.statuses_waiting = Gauge(f"{prefix}statuses_waiting", "Statuses to be written.", registry=registry)
        self.status_failures = Counter(
            f"{prefix}status_write_failures", "Statuses that could not be written.", ["resource"], registry=registry
        )
        self.oldest_change = Gauge(
            f"{prefix}queue_oldest_seconds", "Age of the oldest change that no pass has taken yet.", registry=registry
        )
        self.crashes = Counter(f"{prefix}pass_errors", "Passes ended by a fault of the operator.", registry=registry)

    def exposition(self) -> bytes:
        """Everything in Prometheus' text format."""
        return generate_latest(self._registry)

    def request(self, verb: str, resource: str, status: int, seconds: float) -> None:
        """Count a request to the API server."""
        self._requests.labels(verb, resource, str(status)).inc()
        self._request_seconds.labels(verb).observe(seconds)

    def passed(self, result: str, seconds: float) -> None:
        """Count a pass over a MailService."""
        self._passes.labels(result).inc()
        self._pass_seconds.observe(seconds)

    def programmed(self, seconds: float) -> None:
        """Note how long a change took to be in force."""
        self._programming_seconds.observe(seconds)

    def config(self, service: ObjectKey, size_bytes: int, writes: int) -> None:
        """Note a configuration and how many Secrets were written for it."""
        self._config_bytes.labels(*service).set(size_bytes)
        self._config_writes.inc(writes)

    def service(self, service: ObjectKey, domains: dict[str, int], behind: int) -> None:
        """Note a MailService's domains by state, and its pods that are behind."""
        for state, count in domains.items():
            self._domains.labels(*service, state).set(count)
        self._unprogrammed.labels(*service).set(behind)

    def conditions(self, service: ObjectKey, statuses: Mapping[str, str]) -> None:
        """Note a MailService's conditions: status by type; one that it has not is no trouble."""
        for type_ in SERVICE_CONDITIONS:
            self._conditions.labels(*service, type_).set(statuses.get(type_, "True") == "True")

    def forget(self, service: ObjectKey) -> None:
        """A MailService is gone."""
        for type_ in SERVICE_CONDITIONS:
            self._conditions.remove(*service, type_)
        for state in ("total", "accepted", "programmed"):
            self._domains.remove(*service, state)
        for gauge in (self._config_bytes, self._unprogrammed):
            gauge.remove(*service)
