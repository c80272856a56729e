"""Programs that break in every way, in a real MTA: whoever needs them gets their policy, all others their mail."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import pytest

from paquebot_mta.config.domains import Domain
from paquebot_mta.config.filters import Filter, OnFailure, Phase, Process
from tests.support.paquebot import Paquebot, running_paquebot
from tests.support.paquebot_config import ALICE, PaquebotSettings, maildirs
from tests.support.smtp_client import SmtpClient

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

PROBE = Path(__file__).parents[1] / "mta" / "filter" / "process" / "probe.py"
JOE = "joe@client.test"
REASONS = {"die": "crash", "hang": "timeout", "garbage": "protocol", "flood": "protocol", "chatter": "protocol"}
"""What a program does to its first question, and what it is counted as."""
POLICIES: dict[OnFailure, str] = {"TempFail": "451 4.7.1", "Proceed": "250 ", "Reject": "550 5.7.1"}
ENDS = "ends"


def breaking(
    mode: str, policy: OnFailure = "TempFail", timeout_seconds: float = 0.5, phase: Phase = "rcpt-to"
) -> Filter:
    command = (sys.executable, "-I", "-S", str(PROBE), mode, f"filter:smtp-in:{phase}")
    return Filter(kind=Process(command=command, timeout_seconds=timeout_seconds, on_failure=policy))


FILTERS = {
    **{mode: breaking(mode) for mode in (*REASONS, "foreign")},
    **{f"die-{policy.lower()}": breaking("die", policy) for policy in POLICIES},
    "mute": breaking("mute", phase="data-line"),
    "nul": breaking("nul", phase="data-line"),
    "wordy": breaking("wordy"),
    "trickle": breaking("trickle", phase="data-line", timeout_seconds=0.3),
    "patient": breaking("hang", timeout_seconds=3.0),
    ENDS: Filter(kind=Process(command=("/bin/false",), on_failure="Proceed")),
}


@pytest.fixture(scope="module")
def filtered(directory: Path, settings: PaquebotSettings) -> Iterator[Paquebot]:
    place = directory / "faults"
    delivery = maildirs(place)
    domains = tuple(
        Domain(name=f"{name}.test", delivery=delivery, mailboxes=("carol",), filters=(name,)) for name in FILTERS
    )
    with running_paquebot(place, replace(settings, domains=domains, filters=FILTERS)) as running:
        running.expected_faults = ('"filter.',)
        yield running


def greeted(paquebot: Paquebot) -> SmtpClient:
    client = SmtpClient(paquebot.ports.mx)
    client.expect("220")
    client.command("EHLO client.test", "250")
    client.command(f"MAIL FROM:<{JOE}>", "250")
    return client


def finish(client: SmtpClient, marker: str) -> None:
    client.command("DATA", "354")
    client.command(f"Subject: {marker}\r\n\r\nx\r\n.", "250")
    client.command("QUIT", "221")


@pytest.mark.parametrize("mode", REASONS)
def test_who_is_asked_about_a_broken_program_is_told_to_come_again_and_the_session_goes_on(
    mode: str, filtered: Paquebot
) -> None:
    with greeted(filtered) as client:
        for _ in range(3):  # as it is, while it is away, or when it is back: it breaks again
            client.command(f"RCPT TO:<carol@{mode}.test>", "451 4.7.1")
        client.command(f"RCPT TO:<{ALICE}>", "250")
        finish(client, f"beside {mode}.")
    assert filtered.wait_for_delivered(ALICE, f"Subject: beside {mode}.".encode())
    assert filtered.metric("paquebot_filter_errors_total", filter=mode, reason=REASONS[mode]) >= 1
    filtered.wait_for_log("filter.started", 2, filter=mode)
    assert filtered.process.returncode is None


def test_answers_for_sessions_that_there_are_not_reach_nobody(filtered: Paquebot) -> None:
    with greeted(filtered) as client:
        client.command("RCPT TO:<carol@foreign.test>", "250")
        finish(client, "foreign.")
    assert filtered.metric("paquebot_filter_errors_total", filter="foreign") == 0
    assert filtered.log_lines(event="filter.crashed", filter="foreign") == []


def test_a_program_that_gives_no_content_back_is_started_again(filtered: Paquebot) -> None:
    with greeted(filtered) as client:
        client.command("RCPT TO:<carol@mute.test>", "250")
        client.command("DATA", "354")
        client.command("Subject: mute.\r\n\r\nx\r\n.", "451 4.7.1")
        client.command("NOOP", "250")
    filtered.wait_for_log("filter.timeout", filter="mute")
    filtered.wait_for_log("filter.started", 2, filter="mute")
    assert filtered.metric("paquebot_filter_errors_total", filter="mute", reason="timeout") >= 1


def test_a_program_gives_no_content_that_clients_may_not_send(filtered: Paquebot) -> None:
    with greeted(filtered) as client:
        client.command("RCPT TO:<carol@nul.test>", "250")
        client.command("DATA", "354")
        client.command("Subject: nul.\r\n\r\nx\r\n.", "451 4.7.1")


def test_a_program_s_reply_is_no_longer_than_a_line_may_be(filtered: Paquebot) -> None:
    with greeted(filtered) as client:
        client.line("RCPT TO:<carol@wordy.test>")
        reply = client.reply()
    assert reply.last.startswith("550 5.7.1 no no")
    assert len(reply.last) + 2 == 512, "with its CRLF"


def test_a_program_that_gives_content_back_without_end_is_given_up(filtered: Paquebot) -> None:
    with greeted(filtered) as client:
        client.command("RCPT TO:<carol@trickle.test>", "250")
        client.command("DATA", "354")
        client.command("Subject: trickle.\r\n\r\nx\r\n.", "451 4.7.1")
    assert filtered.metric("paquebot_filter_errors_total", filter="trickle", reason="timeout") == 1


@pytest.mark.parametrize("policy", POLICIES)
def test_a_failure_is_what_its_policy_says(policy: OnFailure, filtered: Paquebot) -> None:
    with greeted(filtered) as client:
        client.command(f"RCPT TO:<carol@die-{policy.lower()}.test>", POLICIES[policy])
        client.command("NOOP", "250")


def test_nobody_else_waits_for_a_program_that_hangs(filtered: Paquebot) -> None:
    waiting = greeted(filtered)
    said: list[str] = []

    def wait() -> None:
        with waiting:
            waiting.line("RCPT TO:<carol@patient.test>")
            said.append(waiting.reply().last)

    thread = threading.Thread(target=wait)
    thread.start()
    begun, sent = time.monotonic(), 0
    while thread.is_alive() and time.monotonic() - begun < 10.0:
        with greeted(filtered) as client:
            client.command(f"RCPT TO:<{ALICE}>", "250")
            finish(client, "meanwhile.")
        sent += 1
    thread.join()
    assert [each[:9] for each in said] == ["451 4.7.1"]
    assert sent >= 3


def test_a_program_that_can_not_live_is_tried_less_and_less_often(filtered: Paquebot) -> None:
    lines = filtered.wait_for_log("filter.crashed", 5, filter=ENDS)
    moments = [datetime.fromisoformat(str(line["ts"])).timestamp() for line in lines]
    pauses = [later - earlier for earlier, later in pairwise(moments)]
    for number, pause in enumerate(pauses):
        assert pause > 0.2 * 2**number, "twice as long each time"
    (found,) = [each for each in json.loads(filtered.cli("show", "filters", "--json").stdout) if each["name"] == ENDS]
    assert "status 1" in found["trouble"]
    assert b"ends" in filtered.get("/readyz")[1]
    filtered.wait_for(filtered.is_ready, "readiness without it, and with those that others ended", 30.0)
