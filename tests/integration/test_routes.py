"""Routes that rest are seen, and let go, from the command line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from paquebot_mta.config.service import Penalties
from tests.support.fake_mx import FakeMx
from tests.support.fake_mx_script import Script
from tests.support.loop_thread import in_thread
from tests.support.paquebot import Paquebot, running_paquebot
from tests.support.paquebot_config import FAR, PaquebotSettings
from tests.support.processes import LOOPBACK

pytestmark = pytest.mark.integration


@pytest.fixture
def server() -> Iterator[FakeMx]:
    with in_thread(FakeMx(Script({"BANNER": "421 4.3.2 busy"}))) as running:
        yield running


@pytest.fixture
def paquebot(directory: Path, settings: PaquebotSettings, server: FakeMx) -> Iterator[Paquebot]:
    chosen = replace(settings, outbound_port=server.port, penalties=Penalties())
    with running_paquebot(directory / "routes", chosen) as running:
        yield running


def shown(paquebot: Paquebot, what: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(paquebot.cli("show", what, "--json").checked().stdout)
    return found


def test_mail_for_a_resting_route_waits_until_it_is_resumed(paquebot: Paquebot, server: FakeMx) -> None:
    paquebot.send("joe@client.test", [f"first@{FAR}"]).checked()
    (disabled,) = paquebot.wait_for_log("route.disabled")
    (route,) = shown(paquebot, "routes")
    assert (route["id"], route["state"], route["penalty"]) == (disabled["route"], "NDQ-", 1)
    assert 0 < route["timeoutSeconds"] <= 15
    (host,) = shown(paquebot, "hosts")
    assert (host["address"], host["lastError"]) == (LOOPBACK, "421 4.3.2 busy")
    paquebot.send("joe@client.test", [f"second@{FAR}"]).checked()
    (held, *_) = paquebot.wait_for_log("delivery.tempfail", to=f"second@{FAR}")
    assert "Network error on destination MXs" in held["stat"]
    server.script = Script()
    assert paquebot.cli("resume", "route", route["id"]).checked().stdout == b"1 route resumed\n"
    paquebot.cli("schedule", "all").checked()
    paquebot.wait_for_empty_queue()
    assert sorted(each.addresses[0] for each in server.transactions) == [f"first@{FAR}", f"second@{FAR}"]
    assert shown(paquebot, "routes")[0]["state"] in ("----", "---K")
