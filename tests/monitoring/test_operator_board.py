"""The operator's board and rules against a Prometheus that scraped the operator's own metrics."""

from __future__ import annotations

import http.server
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from monitoring.model import Panel
from monitoring.operator_board import OPERATOR
from monitoring.stage import concrete
from paquebot_operator.compile.objects import ObjectKey
from paquebot_operator.control.metrics import Metrics
from tests.support.processes import LOOPBACK, peer_directory
from tests.support.prometheus import Prometheus, Target, running_prometheus
from tests.support.requirements import needs_programs

pytestmark = [pytest.mark.integration, needs_programs("prometheus")]

SERVICE = ObjectKey("mail", "post")


def work(metrics: Metrics) -> None:
    """Do what an operator counts in a second."""
    metrics.request("PATCH", "secrets", 200, 0.01)
    metrics.request("GET", "pods", 429, 0.5)
    metrics.passed("written", 0.2)
    metrics.programmed(0.8)
    metrics.config(SERVICE, 10_000, 2)
    metrics.service(SERVICE, {"total": 3, "accepted": 2, "programmed": 2}, 1)
    metrics.conditions(SERVICE, {"Accepted": "True", "Programmed": "False", "Ready": "False"})
    metrics.resyncs.labels("periodic").inc()
    metrics.resync_missed.labels("maildomains").inc()
    metrics.leader.set(1)


@contextmanager
def serving(metrics: Metrics) -> Iterator[int]:
    """Serve the metrics, which change with each scrape, and give the port."""

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            work(metrics)
            body = metrics.exposition()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with http.server.HTTPServer((LOOPBACK, 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join(5.0)


@dataclass(frozen=True)
class Seen:
    """A Prometheus, and since when it scrapes."""

    prometheus: Prometheus
    start: float


@pytest.fixture(scope="module")
def seen() -> Iterator[Seen]:
    with peer_directory() as directory, serving(Metrics()) as port:
        start = time.time()
        target = Target(port, "paquebot-operator", {"namespace": "paquebot-system"})
        with running_prometheus(directory / "prometheus", [target]) as prometheus:
            time.sleep(3.5)
            yield Seen(prometheus, start)


@pytest.mark.parametrize("panel", OPERATOR.panels(), ids=lambda panel: panel.title)
def test_each_query_of_each_panel_has_data(seen: Seen, panel: Panel) -> None:
    for query in panel.queries:
        expression = concrete(OPERATOR, query)
        assert seen.prometheus.lines(expression, seen.start, time.time()), expression


def test_labels_of_objects_are_not_taken_for_those_of_the_scrape(seen: Seen) -> None:
    (line,) = seen.prometheus.lines("paquebot_operator_pods_not_programmed", seen.start, time.time())
    wanted = {"namespace": "paquebot-system", "resource_namespace": "mail", "resource_name": "post"}
    assert wanted.items() <= line.labels.items()
