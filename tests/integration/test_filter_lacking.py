"""A pod that was made before a filter's container: what would ask it stays as it was, all else changes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from paquebot_mta.config.domains import Domain
from paquebot_mta.config.filters import Builtin, Criterion, Filter, FilterAction, Process
from tests.support.paquebot import Paquebot, running_paquebot
from tests.support.paquebot_config import ALICE, PaquebotSettings, configuration, maildirs
from tests.support.smtp_client import SmtpClient

pytestmark = pytest.mark.integration

SPAM = Filter(
    kind=Builtin(
        phase="mail-from", when=Criterion(kind="mail-from", values=("@spam.test",)), action=FilterAction(kind="reject")
    )
)


@pytest.fixture
def filtered(directory: Path, settings: PaquebotSettings) -> Iterator[Paquebot]:
    place = directory / "lacking"
    chosen = replace(settings, filters={"spam": SPAM}, listener_filters=("spam",))
    with running_paquebot(place, chosen) as running:
        yield running


def replies(paquebot: Paquebot, sender: str, recipient: str) -> list[str]:
    with SmtpClient(paquebot.ports.mx) as client:
        client.expect("220")
        client.command("EHLO client.test", "250")
        said = []
        for line in (f"MAIL FROM:<{sender}>", f"RCPT TO:<{recipient}>"):
            client.line(line)
            said.append(client.reply().code)
        return said


def test_what_would_ask_a_program_that_is_not_here_stays_as_it_was_and_all_else_changes(
    filtered: Paquebot, tmp_path: Path
) -> None:
    first = configuration(filtered.directory, filtered.ports, filtered.settings, filtered.generation)
    generation = filtered.config()["generation"]
    program = Filter(kind=Process(socket=str(tmp_path / "program" / "socket"), on_failure="Proceed"))
    new = Domain(name="new.test", delivery=maildirs(filtered.directory), mailboxes=("carol",))
    filtered.configure(
        replace(filtered.settings, filters={"program": program}, listener_filters=("program",), domains=(new,))
    )
    filtered.wait_for(lambda: bool(filtered.config()["rejectedDigest"]), "what is told of it")
    told = filtered.config()
    assert told["generation"] == generation, "not all of it is in force"
    assert "this pod is older than program" in told["rejectedReason"]
    assert replies(filtered, "joe@spam.test", ALICE)[0] == "550", "the filter that it was to take the place of"
    assert replies(filtered, "joe@client.test", "carol@new.test") == ["250", "250"]
    assert filtered.is_ready()
    filtered.write(first)
    filtered.wait_for(lambda: not filtered.config()["rejectedDigest"], "the configuration of before")
    assert replies(filtered, "joe@client.test", "carol@new.test") == ["250", "550"], "it is as it was"
    (tmp_path / "program").mkdir()
    filtered.configure(filtered.settings)
    filtered.wait_for(lambda: filtered.config()["generation"] == filtered.generation, "all of it")
    assert replies(filtered, "joe@spam.test", "carol@new.test") == ["250", "250"]
    filtered.expected_faults = ('"filter.',)
