"""Postfix, Exim and OpenSMTPD as senders to us and as our next hops: content byte for byte, envelope right."""

from __future__ import annotations

import re
from typing import Protocol

import pytest

from tests.support.exim import PACKAGE as EXIM
from tests.support.fake_mx import FakeMx
from tests.support.fake_mx_script import Transaction
from tests.support.opensmtpd import PACKAGE as OPENSMTPD
from tests.support.paquebot import Paquebot
from tests.support.processes import PeerError, PeerProcess, wait_until
from tests.support.requirements import needs_programs
from tests.support.smtp_client import SmtpClient
from tests.support.unpacked import needs_unpacked

from .cells import IMPOSSIBLE, PROTOCOLS, Cell, cells

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

NEEDS = {
    "postfix": needs_programs("postfix", "dovecot", as_root=True),
    "exim": needs_unpacked(EXIM),
    "opensmtpd": needs_unpacked(OPENSMTPD),
}


class Peer(Protocol):
    """What the peers' harnesses have in common."""

    port: int
    process: PeerProcess


def inject(port: int, cell: Cell) -> None:
    """Send the cell's message as a client would. Raises `DialogError` when it isn't accepted."""
    with SmtpClient(port, timeout_seconds=60.0) as client:
        client.expect("220")
        client.command("EHLO client.test", "250")
        client.command(" ".join((f"MAIL FROM:<{cell.feature.sender}>", *cell.feature.mail_parameters)), "250")
        client.command(" ".join((f"RCPT TO:<{cell.recipient}>", *cell.feature.rcpt_parameters)), "250")
        client.command("DATA", "354")
        stuffed = (b"\r\n" + cell.content).replace(b"\r\n.", b"\r\n..")[2:]
        client.send(stuffed + b".\r\n")
        client.expect("250")
        client.command("QUIT", "221")


def arrived(sink: FakeMx, cell: Cell) -> list[Transaction]:
    """Return what has arrived for the cell's recipient."""
    return [transaction for transaction in sink.transactions if cell.recipient in transaction.addresses]


def wait_for_arrival(sink: FakeMx, cell: Cell, paquebot: Paquebot, peer: Peer) -> Transaction:
    """Wait until the message is at the end of the chain; the error shows both logs."""
    try:
        wait_until(lambda: bool(arrived(sink, cell)), f"the arrival of {cell}", 60.0)
    except PeerError as error:
        tails = f"{cell.peer}:\n{peer.process.log_tail(30)}\nPaquebot:\n{paquebot.process.log_tail(30)}"
        raise PeerError(f"{error}; {tails}") from None
    (transaction,) = arrived(sink, cell)
    return transaction


def protocol_of(trace: bytes) -> str:
    """Return by which protocol the last hop took the message (RFC 5321, 4.4)."""
    found = re.search(rb"\bwith (\w+)", trace)
    assert found is not None, trace
    # Exim says UTF8ESMTP to the end of a connection on which one message came with SMTPUTF8.
    return found[1].decode().upper().removeprefix("UTF8")


@pytest.mark.parametrize("cell", [pytest.param(cell, id=str(cell), marks=NEEDS[cell.peer]) for cell in cells()])
def test_mail_goes_through_byte_for_byte(
    cell: Cell, paquebot: Paquebot, sink: FakeMx, request: pytest.FixtureRequest
) -> None:
    peer: Peer = request.getfixturevalue(cell.peer)
    inject(peer.port if cell.direction == "in" else paquebot.ports.mx, cell)
    transaction = wait_for_arrival(sink, cell, paquebot, peer)
    assert transaction.sender.address == cell.feature.sender
    assert transaction.addresses == (cell.recipient,)
    # Not in the assertion itself: its report would hold 25 MiB.
    is_whole = transaction.content.endswith(b"\r\n" + cell.content)
    assert is_whole, transaction.content[:3000]
    trace = transaction.content[: -len(cell.content)]
    assert set(re.findall(rb"^([^\s:]+):", trace, re.MULTILINE)) == {b"Received"}
    assert trace.count(b"Received:") == 2
    # RFC 6531, 4.3 names it UTF8SMTP; Exim and Postfix have names of their own.
    assert protocol_of(trace) in (PROTOCOLS[cell.feature.transport], "SMTP")
    seen = {*transaction.sender.parameters, *transaction.recipients[0].parameters}
    assert cell.feature.seen_parameters <= seen
    assert ("SMTPUTF8" in seen) == (cell.feature_name == "smtputf8")


def test_nothing_went_twice_and_no_rule_of_the_protocol_was_broken(sink: FakeMx) -> None:
    recipients = [transaction.addresses for transaction in sink.transactions]
    assert len(recipients) == len(set(recipients))
    assert [session.violations for session in sink.sessions if session.violations] == []


def test_each_cell_is_either_run_or_named_with_its_reason() -> None:
    assert {(cell.peer, cell.direction, cell.feature_name) for cell in cells(impossible=True)} == set(IMPOSSIBLE)
    assert all(IMPOSSIBLE.values())
    assert len([*cells(), *cells(impossible=True)]) == 54
