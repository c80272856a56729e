"""Replies of next hops are stored with their length: no text of theirs can end one record and begin another."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from paquebot_mta.mail.envelope import Result
from paquebot_mta.mail.reply import Reply
from tests.mta.spool.support import deferred, everything, journal, store

# CVE-2020-8794: lines of a reply became lines of an envelope, and a command that was run.
ENVELOPE = "go away\ntype: mda\nmda-exec: /bin/sh\n\ndispatcher: local_mail"
TEXTS = [ENVELOPE, "\r\n.\r\nQUIT", "\0", "\x1b]0;owned\x07", '"}],"results":[', "\u2028\ufeff\U0010ffff", "x" * 1_020]


async def _survives(place: Path, text: str) -> None:
    reply = Reply(450, text, "4.2.1", remote=True)
    async with journal(place, crash=True) as before:
        message, other = await store(before, b"one", 2), await store(before, b"two")
        first, second = message.envelopes
        kept = deferred(first.evpid, 3)
        state = replace(kept.state, last_reply=reply)
        await before.update([Result(first.evpid, state, kept.final)])
    async with journal(place) as after:
        found = await everything(after)
        assert (after.stats().messages, after.stats().envelopes, after.stats().corrupt) == (2, 3, 0)
        states = found[message.msgid][0].states
        assert states[first.evpid] == state
        assert states[second.evpid].last_reply is None
        assert found[message.msgid][1] == b"one"
        assert found[other.msgid][1] == b"two"


@pytest.mark.parametrize("text", TEXTS)
async def test_a_hostile_reply_comes_back_as_it_was_and_changes_nothing_else(tmp_path: Path, text: str) -> None:
    await _survives(tmp_path, text)


@settings(max_examples=15, deadline=None)
@given(st.text(max_size=300))
async def test_any_reply_does(text: str) -> None:
    with tempfile.TemporaryDirectory() as place:
        await _survives(Path(place), text)
