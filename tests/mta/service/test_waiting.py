"""A worker without a configuration tells whoever asks what is wrong with the one that is there."""

from __future__ import annotations

import http.client
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from paquebot_mta.config.codec import dump
from paquebot_mta.config.directory import write_directory
from paquebot_mta.config.listeners import Listener
from paquebot_mta.config.service import ServiceShard
from tests.support.processes import LOOPBACK, PeerProcess, free_port, peer_directory

pytestmark = pytest.mark.integration


class Pod:
    """A mail server with `workers` processes that has no configuration yet."""

    def __init__(self, directory: Path, workers: int) -> None:
        self.config = directory / "config"
        self.config.mkdir()
        self.port = free_port()
        argv = [
            *(sys.executable, "-m", "paquebot_mta", "mta", "--config", str(self.config), "--log-format", "json"),
            *("--spool", str(directory / "spool"), "--runtime", str(directory / "run"), "--workers", str(workers)),
            *("--admin", f"{LOOPBACK}:{self.port}", "--grace-seconds", "1"),
        ]
        self.process = PeerProcess(argv, directory / "log")

    def get(self, path: str) -> tuple[int, dict[str, Any]]:
        connection = http.client.HTTPConnection(LOOPBACK, self.port, timeout=5)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        except (OSError, http.client.HTTPException):
            return 0, {}
        finally:
            connection.close()


@pytest.fixture(params=[1, 2], ids=["one worker", "two workers"])
def pod(request: pytest.FixtureRequest) -> Iterator[Pod]:
    with peer_directory() as directory:
        found = Pod(directory, request.param)
        try:
            yield found
        finally:
            found.process.terminate(20.0)


def test_it_lives_and_tells_what_it_refused_until_it_can_start(pod: Pod) -> None:
    pod.process.wait_for(lambda: pod.get("/healthz")[0] == 200, "life", 30.0)
    assert "no configuration yet" in str(pod.get("/readyz"))
    good = dump(ServiceShard(name="test/mail", hostname="mx.example.test", listeners=(_listener(),)), [], 1)
    write_directory(pod.config, {**good, "service.json": b"{}"})
    pod.process.wait_for(lambda: "sha256" in pod.get("/config")[1].get("rejectedReason", ""), "the refusal", 10.0)
    assert pod.get("/readyz")[0] == 503
    assert pod.get("/config")[1]["digest"] == ""
    write_directory(pod.config, good)
    pod.process.wait_for(lambda: pod.get("/readyz")[0] == 200, "readiness", 20.0)
    assert pod.get("/config")[1]["rejectedReason"] == ""


def _listener() -> Listener:
    return Listener(name="mx", address=LOOPBACK, port=free_port())
