"""mbox delivery: another program reads it, quoting can be undone, and a failed delivery leaves the file as it was."""

import asyncio
import errno
import fcntl
import mailbox as reader
import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paquebot_mta.deliver import mbox
from paquebot_mta.deliver.mbox import MboxLines, separator
from paquebot_mta.mail.outcome import Deferred, Delivered
from tests.mta.deliver.local_rig import NOW, mailbox, mbox_transport, surroundings
from tests.mta.deliver.relay_rig import CONTENT, make_task


def quoted(chunks: list[bytes]) -> bytes:
    lines = MboxLines()
    return b"".join(lines.feed(each) for each in chunks) + lines.end()


async def test_another_program_reads_what_was_delivered(tmp_path: Path) -> None:
    path = tmp_path / "spool" / "alice"
    with surroundings() as around:
        transport = mbox_transport(around, f"{tmp_path}/spool/%{{user}}")
        receipts = await asyncio.gather(*(transport.deliver(make_task(envelopes=(mailbox(),))) for _ in range(5)))
    assert {type(each) for receipt in receipts for each in receipt.outcomes.values()} == {Delivered}
    box = reader.mbox(path, create=False)
    assert [message["Subject"] for message in box] == ["hi"] * 5
    assert [message["Delivered-To"] for message in box] == ["alice@example.test"] * 5
    box.close()


def test_separator_names_mailer_daemon_for_the_null_reverse_path() -> None:
    assert separator("", NOW) == b"From MAILER-DAEMON Mon Sep 21 14:13:20 2026\n"
    assert separator('"a b"@x.test', NOW).startswith(b'From "ab"@x.test ')


@given(st.lists(st.sampled_from([b"From ", b">", b"\r\n", b"F", b"rom", b" ", b"x", b"From"])), st.data())
def test_quoting_can_be_undone_and_chunks_never_matter(parts: list[bytes], data: st.DataObject) -> None:
    content = b"".join(parts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(content)), max_size=6)))
    chunks = [content[a:b] for a, b in zip([0, *cuts], [*cuts, len(content)], strict=True)]
    stored = quoted(chunks)
    assert stored == quoted([content])
    assert not re.search(rb"^From ", stored, re.MULTILINE)
    plain = content.replace(b"\r\n", b"\n")
    ended = plain if plain.endswith(b"\n") or not plain else plain + b"\n"
    assert re.sub(rb"^>(>*From )", rb"\1", stored, flags=re.MULTILINE) == ended + b"\n"


async def test_a_failed_delivery_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "alice").write_bytes(b"before\n")
    real = os.fsync
    failures = [OSError(errno.ENOSPC, "injected")]

    def fail(descriptor: int) -> None:
        if failures:
            raise failures.pop()
        real(descriptor)

    with surroundings() as around:
        monkeypatch.setattr(os, "fsync", fail)
        receipt = await mbox_transport(around, f"{tmp_path}/%{{user}}").deliver(make_task(envelopes=(mailbox(),)))
    assert [type(each) for each in receipt.outcomes.values()] == [Deferred]
    assert (tmp_path / "alice").read_bytes() == b"before\n"


async def test_a_file_that_stays_locked_defers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mbox, "LOCK_SECONDS", 0.01)
    with (tmp_path / "alice").open("wb") as other, surroundings() as around:
        fcntl.flock(other, fcntl.LOCK_EX)
        receipt = await mbox_transport(around, f"{tmp_path}/%{{user}}").deliver(make_task(envelopes=(mailbox(),)))
    assert [type(each) for each in receipt.outcomes.values()] == [Deferred]
    assert (tmp_path / "alice").read_bytes() == b""


@pytest.mark.parametrize("kind", ["link", "folder", "pipe"])
async def test_only_regular_files_are_written(tmp_path: Path, kind: str) -> None:
    target = tmp_path / "alice"
    if kind == "link":
        target.symlink_to(tmp_path / "elsewhere")
    elif kind == "folder":
        target.mkdir()
    else:
        target.symlink_to("/dev/null")
    with surroundings() as around:
        receipt = await mbox_transport(around, f"{tmp_path}/%{{user}}").deliver(make_task(envelopes=(mailbox(),)))
    assert [type(each) for each in receipt.outcomes.values()] == [Deferred]
    assert not (tmp_path / "elsewhere").exists()


async def test_content_follows_its_separator(tmp_path: Path) -> None:
    with surroundings() as around:
        await mbox_transport(around, f"{tmp_path}/%{{user}}").deliver(make_task(envelopes=(mailbox(),)))
    stored = (tmp_path / "alice").read_bytes()
    assert stored.startswith(b"From sender@origin.test Mon Sep 21 14:13:20 2026\nReturn-Path: <sender@origin.test>\n")
    assert stored.endswith(CONTENT.replace(b"\r\n", b"\n") + b"\n")
