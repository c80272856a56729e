"""The command line against a live process: look at the queue, hold it, let it go, take things out, follow events."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.fake_mx import FakeMx
from tests.support.fake_mx_script import Script
from tests.support.paquebot import Entry, Paquebot, running_paquebot
from tests.support.paquebot_config import PaquebotSettings
from tests.support.processes import PeerProcess, run_command
from tests.support.requirements import needs_programs

pytestmark = [pytest.mark.integration, needs_programs("swaks")]


@pytest.fixture(scope="module")
def paquebot(directory: Path, settings: PaquebotSettings) -> Iterator[Paquebot]:
    # Nothing is tried again by itself here: only what a person asks for happens.
    with running_paquebot(directory / "paquebot", replace(settings, retry_seconds=1_000)) as running:
        yield running


@pytest.fixture
def refusing(far_mx: FakeMx) -> Iterator[FakeMx]:
    far_mx.script = Script(replies={"RCPT": "450 4.2.1 not now"})
    yield far_mx
    far_mx.script = Script()


@pytest.fixture
def waiting(paquebot: Paquebot, refusing: FakeMx) -> Iterator[Entry]:
    """An envelope that was tried once and waits."""
    paquebot.send("joe@client.test", ["wait@far.test"], content=b"Subject: waits\r\n\r\nfor long\r\n").checked()
    paquebot.wait_for(lambda: any(each["error"] for each in paquebot.queue()), "a refusal")
    (entry,) = paquebot.queue()
    yield entry
    paquebot.cli("remove", "all")
    assert paquebot.queue() == []


def shown(paquebot: Paquebot, *arguments: str) -> Entry:
    """Return the first element of a command's JSON."""
    found = json.loads(paquebot.cli(*arguments, "--json").checked().stdout)
    assert isinstance(found, list), found
    entry: Entry = found[0]
    return entry


def test_the_queue_shows_who_waits_and_why(paquebot: Paquebot, waiting: Entry) -> None:
    assert waiting["sender"] == "joe@client.test"
    assert waiting["recipient"] == waiting["destination"] == "wait@far.test"
    assert waiting["attempts"] == 1
    assert waiting["state"] == "pending"
    assert waiting["error"] == "450 4.2.1 not now"
    assert waiting["transport"] == "mta"
    assert 900 < waiting["dueAt"] - waiting["createdAt"] < 1_100
    table = paquebot.cli("show", "queue").checked().stdout.decode()
    assert waiting["evpid"][:8] in table


def test_an_envelope_and_its_content_can_be_seen(paquebot: Paquebot, waiting: Entry) -> None:
    detail = shown(paquebot, "show", "envelope", waiting["evpid"])
    assert detail["message"]["reverse_path" if "reverse_path" in detail["message"] else "reversePath"]
    content = paquebot.cli("show", "message", waiting["evpid"][:8]).checked().stdout
    assert content.startswith(b"Received: from client.test")
    assert content.endswith(b"\r\nSubject: waits\r\n\r\nfor long\r\n")


def test_what_is_not_there_is_said_so(paquebot: Paquebot) -> None:
    assert paquebot.cli("show", "envelope", "0123456789abcdef").returncode == 1
    assert paquebot.cli("show", "message", "01234567").returncode == 1
    assert paquebot.cli("schedule", "no-id").returncode == 2


def test_schedule_tries_at_once(paquebot: Paquebot, waiting: Entry, far_mx: FakeMx) -> None:
    far_mx.script = Script()
    before = len(far_mx.transactions)
    paquebot.cli("schedule", "all").checked()
    paquebot.wait_for(lambda: len(far_mx.transactions) > before, "another attempt")
    paquebot.wait_for_empty_queue()


def test_schedule_of_one_message_tries_that_one(paquebot: Paquebot, waiting: Entry) -> None:
    paquebot.cli("schedule", waiting["evpid"][:8]).checked()
    paquebot.wait_for(lambda: paquebot.queue()[0]["attempts"] == 2, "a second attempt")


def test_remove_takes_an_envelope_out_and_tells_nobody(paquebot: Paquebot, waiting: Entry) -> None:
    bounces = paquebot.metric("paquebot_queue_enqueued_total", source="bounce")
    paquebot.cli("remove", waiting["evpid"]).checked()
    assert paquebot.queue() == []
    assert paquebot.metric("paquebot_queue_enqueued_total", source="bounce") == bounces


def test_a_paused_sender_holds_mail_until_it_is_resumed(paquebot: Paquebot, far_mx: FakeMx) -> None:
    before = len(far_mx.transactions)
    paquebot.cli("pause", "mta").checked()
    assert shown(paquebot, "show", "status")["paused"] == ["mta"]
    paquebot.send("joe@client.test", ["held@far.test"], content=b"Subject: held\r\n\r\nx\r\n").checked()
    paquebot.send("joe@client.test", ["alice@example.test"], content=b"Subject: local\r\n\r\nx\r\n").checked()
    paquebot.wait_for_delivered("alice@example.test", b"Subject: local")
    assert [each["recipient"] for each in paquebot.queue()] == ["held@far.test"]
    assert len(far_mx.transactions) == before
    paquebot.cli("resume", "mta").checked()
    paquebot.wait_for(lambda: len(far_mx.transactions) == before + 1, "the held message")
    paquebot.wait_for_empty_queue()


def test_a_suspended_envelope_stays_suspended_over_a_restart(paquebot: Paquebot, waiting: Entry) -> None:
    paquebot.cli("suspend", waiting["evpid"]).checked()
    assert paquebot.queue()[0]["state"] == "suspended"
    assert paquebot.stop() == 0
    paquebot.restart()
    (entry,) = paquebot.queue()
    assert (entry["evpid"], entry["state"]) == (waiting["evpid"], "suspended")
    paquebot.cli("resume", waiting["evpid"]).checked()
    assert paquebot.queue()[0]["state"] in ("pending", "inflight")


def test_pausing_smtp_refuses_new_sessions_for_now(paquebot: Paquebot) -> None:
    paquebot.cli("pause", "smtp").checked()
    refused = paquebot.send("joe@client.test", ["alice@example.test"])
    paquebot.cli("resume", "smtp").checked()
    assert refused.returncode != 0
    assert " 421 4." in refused.transcript
    paquebot.send("joe@client.test", ["alice@example.test"]).checked()


def test_routes_and_stats_are_shown(paquebot: Paquebot, waiting: Entry) -> None:
    stats = shown(paquebot, "show", "stats")
    assert stats["scheduler.envelope.pending"] == 1
    assert 0 <= stats["uptime"] < 60
    assert stats["queue.messages"] == 1
    routes = json.loads(paquebot.cli("show", "routes", "--json").checked().stdout)
    assert isinstance(routes, list)


def test_trace_follows_a_message(paquebot: Paquebot, directory: Path) -> None:
    argv = [*paquebot.command("trace", "traced@client.test"), "--json"]
    with PeerProcess(argv, directory / "trace.log", env={"PYTHONUNBUFFERED": "1"}) as tracing:
        # There is no sign that it listens but the first event that it shows.
        def is_following() -> bool:
            paquebot.send("traced@client.test", ["alice@example.test"]).checked()
            return "traced@client.test" in tracing.log()

        tracing.wait_for(is_following, "an event", 20.0)
        tracing.wait_for_log(r"\"event\": ?\"DeliveryAttempt\"")
    events = [json.loads(line) for line in tracing.log().splitlines() if line.startswith("{")]
    assert all("traced@client.test" in json.dumps(event) for event in events)


def test_without_a_process_the_command_line_says_so(paquebot: Paquebot, tmp_path: Path) -> None:
    found = run_command([*paquebot.command("show", "queue")[:-1], str(tmp_path)])
    assert found.returncode == 3
    assert b"nothing is running" in found.stderr
