"""The oracle of crash tests finds what it is there for."""

from __future__ import annotations

from tests.faults.books import balance
from tests.support.load import Witness, body_of, digest

TOKENS = ("a-1x", "b-2x", "c-3x")


def witness_of(*acked: str) -> Witness:
    """Make a witness that has sent all and was acknowledged for some."""
    sent = {token: digest(body_of(token, 500)) for token in TOKENS}
    return Witness(sent=sent, acked={token: sent[token] for token in acked})


def copy_of(token: str, line_end: bytes = b"\n") -> bytes:
    """Make a copy as it lies in a maildir."""
    whole = b"Return-Path: <a@b.test>\r\nSubject: " + token.encode() + b"\r\n\r\n" + body_of(token, 500)
    return whole.replace(b"\r\n", line_end)


def test_what_arrived_or_waits_is_not_lost() -> None:
    found = balance(witness_of(*TOKENS), [copy_of("a-1x"), copy_of("b-2x", b"\r\n")], [copy_of("c-3x", b"\r\n")])
    assert (found.lost, found.altered, found.duplicates, found.strangers) == (0, 0, 0, 0)
    assert (found.delivered, found.queued) == (2, 1)


def test_an_acknowledged_message_that_is_nowhere_is_lost() -> None:
    assert balance(witness_of(*TOKENS), [copy_of("a-1x")], [copy_of("c-3x")]).lost == 1


def test_a_message_without_reply_may_arrive_or_not() -> None:
    assert balance(witness_of("a-1x"), [copy_of("a-1x")], []).lost == 0
    assert balance(witness_of("a-1x"), [copy_of("a-1x"), copy_of("b-2x")], []).strangers == 0


def test_copies_are_counted_and_compared() -> None:
    broken = copy_of("a-1x").replace(b"end of body\n", b"")
    found = balance(witness_of(*TOKENS), [copy_of("a-1x"), broken, copy_of("d-4x")], [])
    assert (found.duplicates, found.altered, found.strangers) == (1, 1, 1)
