"""Built-in filters in a real MTA: what strangers hear, what lies in the mailboxes, what metrics and commands say."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from paquebot_mta.config.actions import Action, Maildir
from paquebot_mta.config.domains import Domain
from paquebot_mta.config.filters import Builtin, Chain, Criterion, Filter, FilterAction, Greylist, Process
from tests.support.paquebot import Paquebot, running_paquebot
from tests.support.paquebot_config import ALICE, PaquebotSettings
from tests.support.requirements import needs_programs

pytestmark = [pytest.mark.integration, needs_programs("swaks")]

JOE = "joe@client.test"
SPAMMER = Criterion(kind="mail-from", values=("@spam.test",))
ODD = Criterion(kind="mail-from", values=("@odd.test",))
RUDE = Criterion(kind="mail-from", values=("@rude.test",))
NEWS = Criterion(
    kind="all",
    items=(Criterion(kind="mail-from", values=("^news-",), regex=True), Criterion(kind="src", values=("127.0.0.0/8",))),
)
NO = FilterAction(kind="reject", text="no newsletters")
FILTERS = {
    "t/all": Filter(kind=Chain(filters=("t/spam", "t/odd", "t/gentle", "t/shadow"))),
    "t/spam": Filter(kind=Builtin(phase="mail-from", when=SPAMMER, action=FilterAction(kind="disconnect"))),
    "t/odd": Filter(kind=Builtin(phase="mail-from", when=ODD, action=FilterAction(kind="junk"))),
    "t/gentle": Filter(mode="Junk", kind=Builtin(phase="mail-from", when=RUDE, action=FilterAction(kind="reject"))),
    "t/shadow": Filter(
        mode="Shadow",
        kind=Builtin(phase="rcpt-to", when=Criterion(kind="all"), action=FilterAction(kind="reject")),
    ),
    "t/news": Filter(kind=Builtin(phase="rcpt-to", when=NEWS, action=NO)),
    "t/unused": Filter(kind=Greylist()),
}


@pytest.fixture(scope="module")
def paquebot(directory: Path, settings: PaquebotSettings) -> Iterator[Paquebot]:
    place = directory / "paquebot"
    delivery = Action(maildir=Maildir(path=f"{place}/mail/%{{domain}}/%{{user}}", junk=True))
    domains = (
        Domain(name="example.test", delivery=delivery, mailboxes=("alice", "bob")),
        Domain(name="strict.test", delivery=delivery, mailboxes=("carol",), filters=("t/news",)),
    )
    with running_paquebot(
        place, replace(settings, domains=domains, filters=FILTERS, listener_filters=("t/all",))
    ) as running:
        yield running


def test_a_sender_that_is_not_wanted_is_told_and_cut_off(paquebot: Paquebot) -> None:
    run = paquebot.send("joe@spam.test", [ALICE])
    assert "550 5.7.1 Rejected by policy" in run.transcript
    assert paquebot.wait_for_log("smtp-in.link-disconnect", reason="filter")


def test_what_a_filter_marks_goes_to_the_folder_junk(paquebot: Paquebot) -> None:
    run = paquebot.send("joe@odd.test", [ALICE], content=b"Subject: odd\r\n\r\nodd letter\r\n")
    assert run.returncode == 0
    paquebot.wait_for_empty_queue()
    (found,) = [each for each in paquebot.delivered(ALICE, ".Junk") if b"odd letter" in each]
    head = found.split(b"Received: ")[0]
    assert b"X-Spam: yes" in head
    assert not [each for each in paquebot.delivered(ALICE) if b"odd letter" in each]


def test_a_domain_s_filter_refuses_its_own_recipient_only(paquebot: Paquebot) -> None:
    content = b"Subject: news\r\n\r\nnews letter\r\n"
    run = paquebot.send("news-1@client.test", [ALICE, "carol@strict.test"], "--pipeline", content=content)
    assert "550 5.7.1 no newsletters" in run.transcript
    assert paquebot.wait_for_delivered(ALICE, b"news letter")


def test_a_shadow_is_counted_and_logged_and_harms_nobody(paquebot: Paquebot) -> None:
    name = "paquebot_filter_shadow_responses_total"
    before = paquebot.metric(name, filter="t/shadow", response="reject")
    assert paquebot.send(JOE, [ALICE]).returncode == 0
    assert paquebot.metric(name, filter="t/shadow", phase="rcpt-to", response="reject") == before + 1
    assert paquebot.wait_for_log("filter.shadow", filter="t/shadow", response="reject")


def test_what_a_filter_in_mode_junk_would_refuse_is_junk_and_counted(paquebot: Paquebot) -> None:
    run = paquebot.send("joe@rude.test", [ALICE], content=b"Subject: rude\r\n\r\nrude letter\r\n")
    assert run.returncode == 0
    paquebot.wait_for(lambda: any(b"rude letter" in each for each in paquebot.delivered(ALICE, ".Junk")), "junk")
    assert not [each for each in paquebot.delivered(ALICE) if b"rude letter" in each]
    name = "paquebot_filter_responses_total"
    assert paquebot.metric(name, filter="t/gentle", phase="mail-from", response="reject") == 1


def test_filters_are_listed_with_their_places(paquebot: Paquebot) -> None:
    found = {each["name"]: each for each in json.loads(paquebot.cli("show", "filters", "--json").stdout)}
    assert set(found) == set(FILTERS) - {"t/all"}
    assert found["t/odd"]["places"] == ["listener mx", "listener submission"]
    assert found["t/news"]["places"] == ["domain strict.test"]
    assert (found["t/news"]["kind"], found["t/shadow"]["mode"], found["t/unused"]["places"]) == (
        "builtin",
        "Shadow",
        [],
    )
    assert paquebot.metric("paquebot_filter_up", filter="t/news") == 1.0


def test_filters_change_with_the_configuration_while_it_runs(paquebot: Paquebot) -> None:
    assert paquebot.send("joe@spam.test", [ALICE]).returncode != 0
    paquebot.change(listener_filters=())
    assert paquebot.send("joe@spam.test", [ALICE]).returncode == 0
    paquebot.change(listener_filters=("t/all",))
    assert paquebot.send("joe@spam.test", [ALICE]).returncode != 0


def test_a_filter_that_can_not_answer_makes_the_pod_not_ready(paquebot: Paquebot) -> None:
    dead = {**FILTERS, "t/dead": Filter(kind=Process(command=("/bin/false",)))}
    paquebot.expected_faults = (*paquebot.expected_faults, "filter.")
    paquebot.change(filters=dead, listener_filters=("t/dead",))
    try:
        paquebot.wait_for(lambda: not paquebot.is_ready(), "unreadiness")
        assert b"t/dead" in paquebot.get("/readyz")[1]
        assert (
            "451 4.7.1" in paquebot.send(JOE, [ALICE]).transcript
            or "421 4.7.1" in paquebot.send(JOE, [ALICE]).transcript
        )
    finally:
        paquebot.change(filters=FILTERS, listener_filters=("t/all",))
    paquebot.wait_for(paquebot.is_ready, "readiness")
