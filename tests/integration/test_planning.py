"""Connections as the whole service plans them: shared by domains, stopped by refusals, and as a backup MX."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from paquebot_mta.config.service import Penalties
from tests.support.dns_server import DnsServer
from tests.support.fake_mx import FakeMx
from tests.support.fake_mx_script import Script
from tests.support.loop_thread import in_thread
from tests.support.paquebot import Entry, Paquebot, running_paquebot
from tests.support.paquebot_config import HOSTNAME, PaquebotSettings
from tests.support.processes import LOOPBACK, free_port

from .letters import inject, letter, rule_for

pytestmark = pytest.mark.integration

JOE = "joe@client.test"
OTHER_HOST, WORST_HOST = "127.0.0.2", "127.0.0.3"
ZONES = {
    # One set, told in another order.
    "one.test": {"MX": ["10 mx-a.test.", "10 mx-b.test."]},
    "two.test": {"MX": ["10 mx-b.test.", "10 mx-a.test."]},
    "mx-a.test": {"A": [LOOPBACK]},
    "mx-b.test": {"A": [OTHER_HOST]},
    "list.test": {"MX": ["10 mx-a.test."]},
    "customer.test": {"MX": ["10 mx-a.test.", f"20 {HOSTNAME}.", "30 mx-c.test."]},
    HOSTNAME: {"A": ["127.0.0.9"]},
    "mx-c.test": {"A": [WORST_HOST]},
}
DOMAINS = ("one.test", "two.test", "list.test", "customer.test")


@pytest.fixture(scope="module")
def dns() -> Iterator[DnsServer]:
    with in_thread(DnsServer(ZONES)) as server:
        yield server


@contextmanager
def relaying(directory: Path, settings: PaquebotSettings, port: int, **chosen: object) -> Iterator[Paquebot]:
    """Run an instance that relays everybody's mail to servers on this port."""
    made = replace(settings, outbound_port=port, rules=(rule_for("relay", *DOMAINS),), **chosen)  # type: ignore[arg-type]
    with running_paquebot(directory / f"paquebot-{port}", made) as running:
        yield running


@contextmanager
def listening(port: int, host: str = LOOPBACK, script: Script | None = None) -> Iterator[FakeMx]:
    with in_thread(FakeMx(script, host=host, port=port)) as server:
        yield server


def test_domains_with_the_same_hosts_share_connections(directory: Path, settings: PaquebotSettings) -> None:
    port = free_port()
    with listening(port) as one, listening(port, OTHER_HOST) as other, relaying(directory, settings, port) as paquebot:
        for domain in ("one.test", "two.test", "one.test", "two.test"):
            inject(paquebot, JOE, [f"x@{domain}"], letter(f"for-{domain}"))
            paquebot.wait_for_empty_queue()
        (session,) = (*one.sessions, *other.sessions)
        assert session.verbs().count("MAIL") == 4
        assert {each.addresses[0] for each in (*one.transactions, *other.transactions)} == {"x@one.test", "x@two.test"}


def test_ten_refusals_in_a_row_stop_a_list_for_four_hundred_seconds(
    directory: Path, settings: PaquebotSettings
) -> None:
    port, script = free_port(), Script({"RCPT": "451 4.7.1 greylisted"})
    with (
        listening(port, script=script) as server,
        relaying(directory, settings, port, penalties=Penalties(), retry_seconds=400) as paquebot,
    ):
        began = time.time()
        inject(paquebot, JOE, [f"reader{number}@list.test" for number in range(40)], letter("a-list"))
        paquebot.wait_for(lambda: len(_refused(paquebot)) == 40, "the end of the first attempt")
        assert sum(each.verbs().count("RCPT") for each in server.sessions) == 10
        told = [str(each["error"]) for each in _refused(paquebot)]
        assert sorted(("greylisted" in each, "Host temporarily disabled" in each) for each in told) == (
            [(False, True)] * 30 + [(True, False)] * 10
        )
        waits = [_due(each) - began for each in _refused(paquebot)]
        assert min(waits) > 395
        assert max(waits) < 420
        (route,) = json.loads(paquebot.cli("show", "routes", "--json").checked().stdout)
        assert (route["state"][1], route["penalty"]) == ("D", 2)
        # Mail that comes now waits with the others, unsent.
        inject(paquebot, JOE, ["late@list.test"], letter("for-the-list"))
        paquebot.wait_for(lambda: len(_refused(paquebot)) == 41, "the late one to be held")
        assert sum(each.verbs().count("RCPT") for each in server.sessions) == 10
        # Who mends it says so, and all goes out.
        server.script = Script()
        paquebot.cli("resume", "route", route["id"]).checked()
        paquebot.cli("schedule", "all").checked()
        paquebot.wait_for_empty_queue()
        assert sum(len(each.addresses) for each in server.transactions) == 41


def _refused(paquebot: Paquebot) -> list[Entry]:
    return [each for each in paquebot.queue() if each["state"] == "pending" and each["error"]]


def _due(entry: Entry) -> float:
    return float(str(entry["dueAt"]))


def test_a_backup_mx_keeps_mail_until_a_better_one_takes_it(directory: Path, settings: PaquebotSettings) -> None:
    """We are the second of three: only the first may have the mail, however long that takes."""
    port = free_port()
    with listening(port, WORST_HOST) as worst, relaying(directory, settings, port) as paquebot:
        msgid = inject(paquebot, JOE, ["owner@customer.test"], letter("for-a-customer"))
        paquebot.wait_for_log("delivery.tempfail", 2, msgid=msgid)
        with listening(port) as best:
            paquebot.cli("resume", "route", "all").checked()
            paquebot.wait_for_empty_queue()
            assert [each.addresses for each in best.transactions] == [("owner@customer.test",)]
        assert worst.sessions == []
        assert paquebot.log_lines(event="delivery.permfail") == []
