"""What tests of crashes share: a domain far away, its mail server, and a directory on a disk."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.dns_server import DnsServer
from tests.support.fake_mx import FakeMx
from tests.support.loop_thread import in_thread
from tests.support.paquebot_config import FAR, PaquebotSettings
from tests.support.processes import LOOPBACK, peer_directory


@pytest.fixture
def far_mx() -> Iterator[FakeMx]:
    with in_thread(FakeMx()) as server:
        yield server


@pytest.fixture
def settings(far_mx: FakeMx) -> Iterator[PaquebotSettings]:
    zones = {FAR: {"MX": [f"10 mx.{FAR}."]}, f"mx.{FAR}": {"A": [LOOPBACK]}}
    with in_thread(DnsServer(zones)) as dns:
        yield PaquebotSettings(resolver_port=dns.port, outbound_port=far_mx.port)


@pytest.fixture
def place() -> Iterator[Path]:
    with peer_directory() as path:
        yield path
