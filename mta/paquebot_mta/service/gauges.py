"""Numbers that no event tells: they are read when someone scrapes."""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path

from cryptography import x509

import paquebot_mta
from paquebot_mta.config.service import MtaConfig
from paquebot_mta.deliver.settings import RouteInfo
from paquebot_mta.dispatch.dispatcher import Dispatcher
from paquebot_mta.mail.ids import Evpid
from paquebot_mta.schedule.due import Schedule
from paquebot_mta.spool.store import Spool
from paquebot_mta.telemetry.labels import endpoint_of
from paquebot_mta.telemetry.metrics import Metrics

Labels = tuple[str, ...]


def read_queue(metrics: Metrics, dispatcher: Dispatcher, spool: Spool) -> None:
    """Depth and age of the queue."""
    schedule, ages = dispatcher.schedule, dispatcher.ages

    def envelopes() -> Mapping[Labels, float]:
        counts = schedule.counts()
        held = dispatcher.holds.waiting()
        return {
            ("scheduled",): counts["pending"],
            ("inflight",): counts["inflight"] - held,
            ("hold",): held,
            ("suspended",): counts["suspended"],
        }

    def oldest() -> Mapping[Labels, float]:
        found: dict[Labels, float] = {}
        for name, state in (("scheduled", "pending"), ("inflight", "inflight"), ("suspended", "suspended")):
            at = ages.oldest(partial(_is_in, schedule, state))
            if at is not None:
                found[(name,)] = at
        return found

    def unattempted() -> Mapping[Labels, float]:
        at = ages.oldest_unattempted()
        return {} if at is None else {(): at}

    metrics.read("paquebot_queue_envelopes", envelopes)
    metrics.read("paquebot_queue_messages", lambda: spool.stats().messages)
    metrics.read("paquebot_queue_bytes", lambda: spool.stats().bytes)
    metrics.read("paquebot_queue_commits_total", lambda: spool.stats().commits)
    metrics.read("paquebot_queue_syncs_total", lambda: spool.stats().syncs)
    metrics.read("paquebot_queue_locked_segments", lambda: spool.stats().locked)
    metrics.read("paquebot_queue_writable", lambda: float(not spool.trouble()))
    metrics.read("paquebot_queue_oldest_envelope_timestamp_seconds", oldest)
    metrics.read("paquebot_queue_oldest_unattempted_timestamp_seconds", unattempted)
    metrics.read("paquebot_scheduler_last_run_timestamp_seconds", lambda: dispatcher.last_run_at)


def _is_in(schedule: Schedule, state: str, evpid: Evpid) -> bool:
    return schedule.state(evpid) == state


def read_volume(metrics: Metrics, directory: Path, statvfs: Callable[[Path], os.statvfs_result]) -> None:
    """Space of the volume. The call may block on a dead server, but only the scrape's own thread waits."""
    metrics.read("paquebot_queue_volume_size_bytes", lambda: (v := statvfs(directory)).f_blocks * v.f_frsize)
    metrics.read("paquebot_queue_volume_free_bytes", lambda: (v := statvfs(directory)).f_bavail * v.f_frsize)
    metrics.read("paquebot_queue_volume_size_inodes", lambda: statvfs(directory).f_files)
    metrics.read("paquebot_queue_volume_free_inodes", lambda: statvfs(directory).f_favail)


def read_routes(metrics: Metrics, routes: Callable[[], Iterable[RouteInfo]]) -> None:
    """Routes and connections of the outbound half, by relay action."""

    def by_state() -> Mapping[Labels, float]:
        return Counter((endpoint_of(each.relay), _route_state(each)) for each in routes())

    def connections() -> Mapping[Labels, float]:
        counts: Counter[Labels] = Counter()
        for each in routes():
            counts[(endpoint_of(each.relay),)] += each.connections
        return counts

    def penalties() -> Mapping[Labels, float]:
        worst: dict[Labels, float] = {}
        for each in routes():
            key = (endpoint_of(each.relay),)
            worst[key] = max(worst.get(key, 0.0), each.penalty)
        return worst

    metrics.read("paquebot_routes", by_state)
    metrics.read("paquebot_route_connections", connections)
    metrics.read("paquebot_route_penalty_max", penalties)


def _route_state(route: RouteInfo) -> str:
    if route.disabled is not None:
        return f"disabled_{route.disabled}"
    return "active" if route.connections else "idle"


def set_build(metrics: Metrics) -> None:
    """Version of the program."""
    metrics.set("paquebot_build_info", 1, paquebot_mta.__version__, "")


def certificate_ends(config: MtaConfig) -> dict[Labels, float]:
    """When each certificate in use ends, seconds since 1970, by name. Parses PEM: milliseconds."""
    ends: dict[Labels, float] = {}
    for name, certificate in config.service.certificates.items():
        if certificate.key_pem:
            leaf = x509.load_pem_x509_certificate(certificate.chain_pem.encode())
            ends[(name,)] = leaf.not_valid_after_utc.timestamp()
    return ends
