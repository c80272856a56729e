"""A real Prometheus on loopback: scrapes targets each second, evaluates rules, answers queries. Debian's package."""

from __future__ import annotations

import json
import math
import urllib.parse
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from .http_client import fetch
from .processes import LOOPBACK, PeerError, PeerProcess, find_program, free_port

SCRAPE_SECONDS = 1


@dataclass(frozen=True)
class Target:
    """What is scraped: a port on loopback, and the labels that a cluster would give it."""

    port: int
    job: str
    labels: Mapping[str, str]


@dataclass(frozen=True)
class Line:
    """One series of an answer: its labels, and (seconds since 1970, value) without what is not a number."""

    labels: Mapping[str, str]
    points: tuple[tuple[float, float], ...]


class Prometheus:
    """A running server; made by `running_prometheus`."""

    def __init__(self, process: PeerProcess, port: int) -> None:
        self.process = process
        self.port = port

    def get(self, path: str, **parameters: str | float) -> Any:
        """Ask the HTTP API and return its `data`. Raises `PeerError` with Prometheus' own words."""
        _, body = self._fetch(f"/api/v1/{path}?{urllib.parse.urlencode(parameters)}")
        answer = json.loads(body)
        if answer["status"] != "success":
            raise PeerError(f"{path} {parameters}: {answer['error']}")
        return answer["data"]

    def lines(self, expression: str, start: float, end: float, step_seconds: float = 1.0) -> list[Line]:
        """Evaluate an expression over time; series that are nothing but NaN are left out."""
        found = self.get("query_range", query=expression, start=start, end=end, step=step_seconds)["result"]
        lines = (Line(each["metric"], _points(each["values"])) for each in found)
        return [line for line in lines if line.points]

    def is_scraping(self) -> bool:
        """Tell whether it serves, and all targets are up."""
        if self._fetch("/-/ready")[0] != 200:
            return False
        targets = self.get("targets", state="active")["activeTargets"]
        return bool(targets) and all(each["health"] == "up" for each in targets)

    def _fetch(self, path: str) -> tuple[int, bytes]:
        return fetch(self.port, path, 10.0)


def _points(values: list[tuple[float, str]]) -> tuple[tuple[float, float], ...]:
    numbers = ((float(at), float(text)) for at, text in values)
    return tuple((at, number) for at, number in numbers if math.isfinite(number))


@contextmanager
def running_prometheus(
    directory: Path, targets: list[Target], rules: bytes = b"", port: int | None = None
) -> Iterator[Prometheus]:
    """Scrape the targets until the end of the block; `rules` is the content of a file of rules."""
    directory.mkdir(exist_ok=True)
    (directory / "rules.yaml").write_bytes(rules or b"groups: []\n")
    (directory / "prometheus.yaml").write_text(yaml.safe_dump(_config(targets)))
    listens = port or free_port()
    argv = [
        find_program("prometheus"),
        f"--config.file={directory / 'prometheus.yaml'}",
        f"--storage.tsdb.path={directory / 'data'}",
        f"--web.listen-address={LOOPBACK}:{listens}",
        "--log.level=warn",
    ]
    with PeerProcess(argv, directory / "prometheus.log") as process:
        process.wait_for_port(listens)
        prometheus = Prometheus(process, listens)
        process.wait_for(prometheus.is_scraping, "all targets to be up")
        yield prometheus


def _config(targets: list[Target]) -> dict[str, Any]:
    interval = f"{SCRAPE_SECONDS}s"
    return {
        "global": {"scrape_interval": interval, "scrape_timeout": interval, "evaluation_interval": interval},
        "rule_files": ["rules.yaml"],
        "scrape_configs": [
            {
                "job_name": target.job,
                "static_configs": [{"targets": [f"{LOOPBACK}:{target.port}"], "labels": dict(target.labels)}],
            }
            for target in targets
        ],
    }
