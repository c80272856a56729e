"""A domain's program that never said what it wants: no mail of the domain passes it by, and nobody else's waits."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from paquebot_mta.config.domains import Domain
from paquebot_mta.config.filters import Filter, OnFailure, Process
from tests.support.paquebot import Paquebot, running_paquebot
from tests.support.paquebot_config import ALICE, PaquebotSettings, maildirs
from tests.support.smtp_client import SmtpClient

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

PROBE = Path(__file__).parents[1] / "mta" / "filter" / "process" / "probe.py"
POLICIES: dict[OnFailure, str] = {"TempFail": "451 4.7.1", "Proceed": "250 ", "Reject": "550 5.7.1"}
MUTE = ("/bin/sleep", "60")
DEAD = ("/bin/false",)


def late(sign: Path) -> Filter:
    """A program that gets ready once there is a file, and writes each line of content twice."""
    program = f'while [ ! -e {sign} ]; do sleep 0.02; done; exec {sys.executable} -I -S {PROBE} double "$0"'
    return Filter(kind=Process(command=("/bin/sh", "-c", program, "filter:smtp-in:data-line")))


@pytest.fixture(scope="module")
def filtered(directory: Path, settings: PaquebotSettings) -> Iterator[Paquebot]:
    place = directory / "absent"
    filters = {f"dead-{each.lower()}": Filter(kind=Process(command=DEAD, on_failure=each)) for each in POLICIES}
    filters |= {"mute": Filter(kind=Process(command=MUTE)), "late": late(place / "sign")}
    domains = tuple(
        Domain(name=f"{name}.test", delivery=maildirs(place), mailboxes=("carol",), filters=(name,)) for name in filters
    )
    with running_paquebot(place, settings) as running:
        running.expected_faults = ('"filter.',)
        # Not from the begin: a pod whose programs never were there is never ready.
        running.change(filters=filters, domains=domains)
        running.wait_for(lambda: running.config()["generation"] == running.generation, "the filters")
        yield running


def begun(paquebot: Paquebot) -> SmtpClient:
    client = SmtpClient(paquebot.ports.mx)
    client.expect("220")
    client.command("EHLO client.test", "250")
    client.command("MAIL FROM:<joe@client.test>", "250")
    return client


def finish(client: SmtpClient, marker: str) -> None:
    client.command("DATA", "354")
    client.command(f"Subject: {marker}\r\n\r\nline\r\n.", "250")
    client.command("QUIT", "221")


@pytest.mark.parametrize("policy", POLICIES)
def test_a_domain_s_program_that_can_not_be_run_is_what_its_policy_says(policy: OnFailure, filtered: Paquebot) -> None:
    with begun(filtered) as client:
        client.command(f"RCPT TO:<carol@dead-{policy.lower()}.test>", POLICIES[policy])
        client.command(f"RCPT TO:<{ALICE}>", "250")
        finish(client, f"beside {policy}.")
    assert filtered.wait_for_delivered(ALICE, f"Subject: beside {policy}.".encode())


def test_a_domain_s_program_that_never_gets_ready_lets_nothing_pass(filtered: Paquebot) -> None:
    with begun(filtered) as client:
        client.command("RCPT TO:<carol@mute.test>", "451 4.7.1")
        client.command("DATA", "503")


def test_a_domain_s_program_that_gets_ready_in_a_transaction_has_its_content(filtered: Paquebot) -> None:
    with begun(filtered) as client:
        client.command("RCPT TO:<carol@late.test>", "451 4.7.1")
        (filtered.directory / "sign").touch()
        filtered.wait_for_log("filter.started", filter="late")
        client.command("RCPT TO:<carol@late.test>", "250")
        finish(client, "late.")
    (content,) = filtered.wait_for_delivered("carol@late.test", b"Subject: late.")
    assert content.replace(b"\r\n", b"\n").endswith(b"line\nline\n"), "it had each line twice"
