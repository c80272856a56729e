"""Built-in filters in a real MTA, each action in each phase: each has a client, known by its address, of its own."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from paquebot_mta.config.filters import Builtin, Criterion, Filter, FilterAction, Phase
from tests.support.paquebot import Paquebot, running_paquebot
from tests.support.paquebot_config import ALICE, BOB, PASSWORD, PaquebotSettings
from tests.support.smtp_client import SmtpClient

pytestmark = pytest.mark.integration

PHASES: tuple[Phase, ...] = (
    "connect", "helo", "ehlo", "starttls", "auth", "mail-from", "rcpt-to", "data", "commit",
)  # fmt: skip
REFUSED, WALL = "550 5.7.1 no", "554 5.7.1 wall"
REWRITTEN = {"helo": "other.test", "ehlo": "other.test", "mail-from": "<boss@example.test>", "rcpt-to": f"<{BOB}>"}
ACTIONS: dict[str, FilterAction] = {
    "proceed": FilterAction(kind="proceed"),
    "report": FilterAction(kind="report", text="seen"),
    "bypass": FilterAction(kind="bypass"),
    "junk": FilterAction(kind="junk"),
    "reject": FilterAction(kind="reject", text="no"),
    "disconnect": FilterAction(kind="disconnect", text="no"),
    "rewrite": FilterAction(kind="rewrite"),
}


@dataclass(frozen=True)
class Cell:
    """A phase and what a filter does in it to its own client."""

    phase: Phase
    action: str

    @property
    def name(self) -> str:
        return f"{self.phase}-{self.action}"

    @property
    def source(self) -> str:
        return f"127.9.{PHASES.index(self.phase) + 1}.{list(ACTIONS).index(self.action) + 1}"

    @property
    def filter(self) -> Filter:
        action = ACTIONS[self.action]
        if self.action == "rewrite":
            action = FilterAction(kind="rewrite", value=REWRITTEN[self.phase])
        return Filter(kind=Builtin(phase=self.phase, when=Criterion(kind="src", values=(self.source,)), action=action))


def _is_possible(cell: Cell) -> bool:
    if cell.action == "rewrite":
        return cell.phase in REWRITTEN
    return cell.phase != "commit" or cell.action not in {"junk", "bypass"}


CELLS = [cell for phase in PHASES for action in ACTIONS if _is_possible(cell := Cell(phase, action))]


def wall(phase: Phase) -> Filter:
    """Refuse whom a filter before it let through, but those for whom it ends the chain."""
    values = tuple(Cell(phase, action).source for action in ("proceed", "report", "bypass"))
    refusal = FilterAction(kind="reject", code=554, text="wall")
    return Filter(kind=Builtin(phase=phase, when=Criterion(kind="src", values=values), action=refusal))


@pytest.fixture(scope="module")
def filtered(directory: Path, settings: PaquebotSettings) -> Iterator[Paquebot]:
    filters = {cell.name: cell.filter for cell in CELLS} | {f"wall-{phase}": wall(phase) for phase in PHASES}
    chosen = replace(settings, filters=filters, listener_filters=tuple(filters))
    with running_paquebot(directory / "cells", chosen) as running:
        yield running


class Session:
    """A client of a cell, that goes through all phases."""

    def __init__(self, paquebot: Paquebot, cell: Cell) -> None:
        self.secured = cell.phase in {"starttls", "auth"}
        port = paquebot.ports.submission if cell.phase == "auth" else paquebot.ports.mx
        self.client = SmtpClient(port, source=cell.source)
        self.cell = cell

    def ask(self, phase: Phase, line: str) -> str:
        """Say something, and give the last line of the reply."""
        self.client.line(line)
        return self.told(phase)

    def told(self, phase: Phase) -> str:
        """Raise `RefusedError` for what isn't as it would be without filters."""
        last = self.client.reply().last
        if last[0] in "45":
            raise RefusedError(phase, last)
        return last

    def greet(self) -> None:
        self.told("connect")
        if self.cell.phase == "helo":
            self.ask("helo", "HELO client.test")
            return
        self.ask("ehlo", "EHLO client.test")
        if self.secured:
            self.ask("starttls", "STARTTLS")
            self.client.start_tls()
            self.ask("ehlo", "EHLO client.test")
        if self.cell.phase == "auth":
            secret = base64.b64encode(f"\0{ALICE}\0{PASSWORD}".encode()).decode()
            self.ask("auth", f"AUTH PLAIN {secret}")

    def send(self) -> None:
        sender = ALICE if self.cell.phase == "auth" else "joe@client.test"
        self.ask("mail-from", f"MAIL FROM:<{sender}>")
        self.ask("rcpt-to", f"RCPT TO:<{ALICE}>")
        self.ask("data", "DATA")
        self.ask("commit", f"Subject: {self.cell.name}.\r\n\r\nhello\r\n.")


class RefusedError(Exception):
    """A reply that isn't positive."""

    def __init__(self, phase: Phase, line: str) -> None:
        super().__init__(phase, line)
        self.phase, self.line = phase, line


def said(cell: Cell) -> int:
    """How many events of the filter's own there should be."""
    return 1 if cell.action == "report" else 0


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
def test_an_action_does_in_its_phase_what_it_says(cell: Cell, filtered: Paquebot) -> None:
    session = Session(filtered, cell)
    with session.client as client:
        refusal: tuple[str, str] | None = None
        try:
            session.greet()
            session.send()
        except RefusedError as refused:
            refusal = (refused.phase, refused.line)
        if cell.action in {"reject", "disconnect"}:
            assert refusal == (cell.phase, REFUSED)
        elif cell.action in {"proceed", "report"}:
            assert refusal == (cell.phase, WALL)
        else:
            assert refusal is None
        if cell.action == "disconnect" or (cell.phase == "connect" and refusal):
            client.expect_end()
        else:
            client.command("NOOP", "250")
            client.command("QUIT", "221")
    assert filtered.metric("paquebot_filter_reports_total", filter=cell.name) == said(cell)
    if refusal is None:
        check_arrived(cell, filtered)


def check_arrived(cell: Cell, filtered: Paquebot) -> None:
    """A marked message is marked in front of all else; what was rewritten is as it was rewritten."""
    user = BOB if cell.name == "rcpt-to-rewrite" else ALICE
    (message,) = filtered.wait_for_delivered(user, f"Subject: {cell.name}.".encode())
    front = message.split(b"Received: ")[0]
    assert (b"X-Spam: yes\n" in front) == (cell.action == "junk")
    if cell.name == "mail-from-rewrite":
        assert b"Return-Path: <boss@example.test>\n" in front
    if cell.action == "rewrite" and cell.phase in {"helo", "ehlo"}:
        assert b"Received: from other.test " in message
