"""Maildir delivery: what lies in the file, where it lies, and that no address or disk leads it astray."""

import asyncio
import errno
import os
import re
import stat
import time
from pathlib import Path

import pytest

from paquebot_mta.config.service import OutboundLimits
from paquebot_mta.deliver import local, maildir
from paquebot_mta.deliver.discard import DiscardTransport
from paquebot_mta.deliver.local import LocalSlots
from paquebot_mta.mail.outcome import Deferred, Delivered, Failed, Looped
from tests.mta.deliver.local_rig import anything_under, mailbox, maildir_transport, new_files, surroundings
from tests.mta.deliver.relay_rig import CONTENT, SENDER, denied, make_task

HEAD = f"Return-Path: <{SENDER}>\nDelivered-To: alice@example.test\n".encode()
AS_FILE = CONTENT.replace(b"\r\n", b"\n")


def template(root: Path) -> str:
    return f"{root}/%{{domain}}/%{{user}}"


async def test_a_copy_lies_in_new_with_its_trace(tmp_path: Path) -> None:
    with surroundings() as around:
        receipt = await maildir_transport(around, template(tmp_path)).deliver(make_task(envelopes=(mailbox(),)))
    assert [type(each) for each in receipt.outcomes.values()] == [Delivered]
    (file,) = new_files(tmp_path / "example.test" / "alice")
    assert file.read_bytes() == HEAD + AS_FILE
    assert re.fullmatch(r"1790000000\.[0-9a-f]{16}\.mx\\0721\.test", file.name)


async def test_folders_are_for_their_owner_only(tmp_path: Path) -> None:
    with surroundings() as around:
        await maildir_transport(around, template(tmp_path)).deliver(make_task(envelopes=(mailbox(),)))
    root = tmp_path / "example.test" / "alice"
    modes = {stat.S_IMODE(each.stat().st_mode) for each in (root.parent, root, *root.iterdir())}
    assert modes == {0o700}
    assert stat.S_IMODE(new_files(root)[0].stat().st_mode) == 0o600


async def test_each_recipient_has_a_copy(tmp_path: Path) -> None:
    envelopes = tuple(mailbox(f"user{number}", number=number) for number in range(1, 12))
    with surroundings() as around:
        receipt = await maildir_transport(around, template(tmp_path)).deliver(make_task(envelopes=envelopes))
    assert set(receipt.outcomes) == {each.evpid for each in envelopes}
    assert {type(each) for each in receipt.outcomes.values()} == {Delivered}
    assert all(len(new_files(tmp_path / "example.test" / each.user)) == 1 for each in envelopes)


async def test_null_reverse_path_is_an_empty_return_path(tmp_path: Path) -> None:
    with surroundings() as around:
        task = make_task(envelopes=(mailbox(),), reverse_path="")
        await maildir_transport(around, template(tmp_path)).deliver(task)
    assert new_files(tmp_path / "example.test" / "alice")[0].read_bytes().startswith(b"Return-Path: <>\n")


async def test_large_content_is_written_whole(tmp_path: Path) -> None:
    chunks = [b"x" * 70 + b"\r", b"\n" + b"y" * 60_000 + b"\r\n"] * 20
    with surroundings() as around:
        task = make_task(envelopes=(mailbox(),), content=chunks)
        await maildir_transport(around, template(tmp_path)).deliver(task)
    (file,) = new_files(tmp_path / "example.test" / "alice")
    assert file.read_bytes() == HEAD + b"".join(chunks).replace(b"\r\n", b"\n")


@pytest.mark.parametrize("field", [b"Delivered-To: Alice@Example.test", b"delivered-to:\r\n alice@example.test"])
async def test_a_message_that_was_here_before_loops(tmp_path: Path, field: bytes) -> None:
    with surroundings() as around:
        task = make_task(envelopes=(mailbox(),), content=field + b"\r\n" + CONTENT)
        receipt = await maildir_transport(around, template(tmp_path)).deliver(task)
    assert [type(each) for each in receipt.outcomes.values()] == [Looped]


async def test_delivered_to_of_another_or_in_the_body_is_no_loop(tmp_path: Path) -> None:
    content = b"Delivered-To: bob@example.test\r\n\r\nDelivered-To: alice@example.test\r\n"
    with surroundings() as around:
        task = make_task(envelopes=(mailbox(),), content=content)
        receipt = await maildir_transport(around, template(tmp_path)).deliver(task)
    assert [type(each) for each in receipt.outcomes.values()] == [Delivered]


@pytest.mark.parametrize("there", [True, False])
async def test_a_sub_address_goes_to_its_folder_if_that_exists(tmp_path: Path, there: bool) -> None:
    root = tmp_path / "example.test" / "alice"
    if there:
        (root / ".news").mkdir(parents=True)
    with surroundings() as around:
        task = make_task(envelopes=(mailbox(extension="news"),))
        await maildir_transport(around, template(tmp_path)).deliver(task)
    assert len(new_files(root / ".news" if there else root)) == 1


@pytest.mark.parametrize("extension", ["../../bob", "./x", "a/b", "x\0y", ".", "x" * 300])
async def test_no_sub_address_leads_outside(tmp_path: Path, extension: str) -> None:
    (tmp_path / "example.test" / "bob").mkdir(parents=True)
    with surroundings() as around:
        task = make_task(envelopes=(mailbox(extension=extension),))
        await maildir_transport(around, template(tmp_path)).deliver(task)
    assert len(new_files(tmp_path / "example.test" / "alice")) == 1


@pytest.mark.parametrize("user", ["..", ".", "../bob", "a/b", "/etc", ".hidden", "a\0b", "a\nb", "x" * 256])
async def test_no_user_leads_outside(tmp_path: Path, user: str) -> None:
    with surroundings() as around:
        task = make_task(envelopes=(mailbox(user, destination="x@example.test"),))
        receipt = await maildir_transport(around, template(tmp_path)).deliver(task)
    assert [type(each) for each in receipt.outcomes.values()] == [Failed]
    assert anything_under(tmp_path) == []


@pytest.mark.parametrize(
    ("mark", "folder"), [(b"X-Spam: Yes", ".Junk"), (b"X-Spam-Flag: YES", ".Junk"), (b"X-Spam: no", ""), (b"A: b", "")]
)
async def test_marked_mail_is_junk(tmp_path: Path, mark: bytes, folder: str) -> None:
    with surroundings() as around:
        task = make_task(envelopes=(mailbox(),), content=mark + b"\r\n\r\nX-Spam: yes\r\n")
        await maildir_transport(around, template(tmp_path), junk=True).deliver(task)
    assert len(new_files(tmp_path / "example.test" / "alice" / folder)) == 1


@pytest.mark.parametrize("call", ["write", "fsync", "rename", "open", "mkdir"])
@pytest.mark.parametrize(
    ("code", "status"),
    [(errno.ENOSPC, "4.3.1"), (errno.EDQUOT, "4.2.2"), (errno.EIO, "4.3.0"), (errno.EACCES, "4.3.0")],
)
async def test_what_a_disk_does_defers_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, code: int, status: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(code, "injected")

    with surroundings() as around:
        monkeypatch.setattr(os, call, fail)
        receipt = await maildir_transport(around, template(tmp_path)).deliver(make_task(envelopes=(mailbox(),)))
        monkeypatch.undo()
    (outcome,) = receipt.outcomes.values()
    assert isinstance(outcome, Deferred)
    assert outcome.reply.status == status
    assert "injected" not in outcome.reply.text
    assert [each for each in anything_under(tmp_path) if each.is_file()] == []


async def test_content_is_durable_before_it_is_visible(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    for name in ("fsync", "rename"):
        real = getattr(os, name)

        def noted(*arguments: object, name: str = name, real: object = real) -> object:
            calls.append(name)
            return real(*arguments)  # type: ignore[operator]

        monkeypatch.setattr(os, name, noted)
    maildir.make_maildir(tmp_path / "alice")
    del calls[:]
    box = maildir.MaildirBox(tmp_path / "alice", "", "", "1.x.host")
    box.write(b"x")
    box.finish()
    assert calls == ["fsync", "rename", "fsync"]


async def test_nothing_is_delivered_when_the_queue_changed_hands(tmp_path: Path) -> None:
    task = make_task(envelopes=(mailbox(),))
    with surroundings() as around:
        task = type(task)(task.message, task.envelopes, task.reverse_path, task.content, denied)
        receipt = await maildir_transport(around, template(tmp_path)).deliver(task)
    assert [type(each) for each in receipt.outcomes.values()] == [Deferred]
    assert anything_under(tmp_path) == []


async def test_a_bare_line_end_can_never_be_stored(tmp_path: Path) -> None:
    with surroundings() as around:
        task = make_task(envelopes=(mailbox(),), content=b"a\nb\r\n")
        receipt = await maildir_transport(around, template(tmp_path)).deliver(task)
    assert [type(each) for each in receipt.outcomes.values()] == [Failed]


async def test_a_disk_that_hangs_has_a_deadline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "DELIVERY_SECONDS", 0.02)
    real = os.fsync

    def slow(descriptor: int) -> None:

        time.sleep(0.1)
        real(descriptor)

    with surroundings() as around:
        monkeypatch.setattr(os, "fsync", slow)
        receipt = await maildir_transport(around, template(tmp_path)).deliver(make_task(envelopes=(mailbox(),)))
    assert [type(each) for each in receipt.outcomes.values()] == [Deferred]


async def test_a_user_never_takes_all_slots() -> None:
    slots = LocalSlots(OutboundLimits(local_deliveries=4, local_deliveries_per_user=2))
    running: list[str] = []
    go = asyncio.Event()

    async def hold(user: str) -> None:
        async with slots.hold(user):
            running.append(user)
            await go.wait()

    work = [asyncio.create_task(hold(user)) for user in ("a", "a", "a", "a", "b", "c", "d")]
    await asyncio.sleep(0.01)
    assert running == ["a", "a", "b", "c"]
    go.set()
    await asyncio.gather(*work)
    assert len(running) == 7


async def test_discarded_mail_counts_as_delivered() -> None:
    receipt = await DiscardTransport().deliver(make_task("a@x.test", "b@x.test"))
    assert [type(each) for each in receipt.outcomes.values()] == [Delivered, Delivered]
