"""A target that can't fail proves nothing: each of these faults, put in on purpose, is found by the kept corpus."""

from collections.abc import Callable
from typing import Any

import pytest

from paquebot_mta.accept.data import DataSession
from paquebot_mta.deliver.reports import SessionReports
from paquebot_mta.mail import content, lines, stuffing
from paquebot_mta.mail.reply import Reply
from paquebot_mta.spool import replay
from tests.fuzz.catalogue import TARGETS, kept

Fault = Callable[[pytest.MonkeyPatch], None]


def _no_judge(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(content._Gate, "_judge", lambda gate, chunk: None)


def _end_at_bare_lf(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(content, "_END", b"\n.\n")


def _no_stuffing(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(stuffing.DotStuffer, "feed", lambda stuffer, chunk: chunk)


def _forget_the_start(patch: pytest.MonkeyPatch) -> None:
    def feed(buffer: Any, data: bytes) -> None:
        buffer._data, buffer._at = data, 0

    patch.setattr(lines.LineBuffer, "feed", feed)


def _no_rollback(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(DataSession, "end_transaction", lambda session, attempt: None)


def _no_end_of_transactions(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(SessionReports, "rolled_back", lambda reports: None)


def _loose_replies(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Reply, "encode", lambda reply: f"{reply.code} {reply.text}\n".encode())


def _credulous(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(replay, "_check_accepted", lambda record, accepted: None)


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("data", _no_judge),
        ("data", _end_at_bare_lf),
        ("data", _no_stuffing),
        ("bdat", _no_judge),
        ("lines", _forget_the_start),
        ("replies", _forget_the_start),
        ("server", _no_judge),
        ("server", _no_rollback),
        ("client", _no_stuffing),
        ("client", _no_end_of_transactions),
        ("command", _loose_replies),
        ("replay", _credulous),
    ],
)
def test_a_fault_is_found(name: str, fault: Fault, monkeypatch: pytest.MonkeyPatch) -> None:
    fault(monkeypatch)
    with pytest.raises((AssertionError, stuffing.BareLineEndError)):
        _replay(name)


def _replay(name: str) -> None:
    for path in kept(name):
        TARGETS[name](path.read_bytes())
