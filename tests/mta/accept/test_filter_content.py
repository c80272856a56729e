"""Filters of content: what they are given, what their changes do, and where the content waits meanwhile."""

import asyncio
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from paquebot_mta.filter.contract import NO_CHANGES, Changes, Content, Facts, FieldEdit, FilterError
from paquebot_mta.filter.decisions import JUNK, PROCEED, Decision, Reject
from paquebot_mta.filter.hold import MEMORY_BYTES, Holder
from paquebot_mta.mail.reply import Reply
from paquebot_mta.telemetry.events import Attempt
from paquebot_mta.telemetry.filter_events import FilterAnswer, FilterFault
from tests.mta.accept.filters import Filters, Lines, Scripted, action, builtin
from tests.mta.accept.support import Served, after_trace, serve

LETTER = b"Subject: x\r\nX-Old: 1\r\n\r\nhello\r\n..dot\r\n.\r\n"
PLAIN = b"Subject: x\r\nX-Old: 1\r\n\r\nhello\r\n.dot\r\n"
BIG = b"Subject: big\r\n\r\n" + b"0123456789abcde\r\n" * 40_000


def judge(decision: Decision = PROCEED, changes: Changes = NO_CHANGES) -> Scripted:
    return Scripted(judgement=lambda _: (decision, changes))


def stream(change: Callable[[bytes], bytes], *, fail: bool = False) -> Scripted:
    return Scripted(lines=lambda: Lines(change, fail=fail))


async def _send(served: Served, content: bytes = LETTER) -> str:
    client = await served.greeted()
    await client.envelope()
    reply = await client.data(content)
    await client.ask("QUIT")
    await served.finished()
    return reply


def _content(served: Served) -> bytes:
    (stored,) = served.spool.stored.values()
    return stored[1]


async def test_a_judge_sees_what_the_client_sent_and_not_our_trace() -> None:
    seen = judge()
    async with serve(screens=Filters({"f": seen})) as served:
        assert (await _send(served)).startswith("250 ")
    assert seen.heard() == [("commit", PLAIN.decode())]
    assert after_trace(_content(served)) == PLAIN
    assert [(each.phase, each.response) for each in served.of(FilterAnswer)] == [("commit", "proceed")]


async def test_changes_are_made_bytewise_and_new_fields_stand_before_our_trace() -> None:
    changes = Changes(
        prepend=(b"X-New: 1\r\n",),
        edits=(FieldEdit("x-old", value=None), FieldEdit("Subject", 1, "[spam] x")),
    )
    async with serve(screens=Filters({"f": judge(changes=changes)})) as served:
        await _send(served)
    content = _content(served)
    assert content.startswith(b"X-New: 1\r\nReceived: ")
    assert after_trace(content.removeprefix(b"X-New: 1\r\n")) == b"Subject: [spam] x\r\n\r\nhello\r\n.dot\r\n"


async def test_a_new_body_takes_the_old_one_s_place() -> None:
    async with serve(screens=Filters({"f": judge(changes=Changes(body=b"gone\r\n"))})) as served:
        await _send(served)
    assert after_trace(_content(served)) == b"Subject: x\r\nX-Old: 1\r\n\r\ngone\r\n"


async def test_judges_see_what_those_before_them_made() -> None:
    last = judge()
    first = judge(changes=Changes(prepend=(b"X-New: 1\r\n",), body=b"other\r\n"))
    async with serve(screens=Filters({"a": first, "b": last})) as served:
        await _send(served)
    assert last.heard()[0][1] == "X-New: 1\r\n" + PLAIN.decode().partition("\r\n\r\n")[0] + "\r\n\r\nother\r\n"
    content = _content(served)
    assert content.startswith(b"X-New: 1\r\nReceived: ")
    assert content.endswith(b"X-Old: 1\r\n\r\nother\r\n")


async def test_our_trace_stays_hidden_whoever_put_fields_in_front_of_it() -> None:
    """rspamd and signers would take it for one more server on the way."""
    signed = stream(lambda line: b"X-Signed: 1\r\n" + line if line.startswith(b"Received: ") else line)
    changes = Changes(
        prepend=(b"X-Last: 1\r\n",),
        edits=(FieldEdit("X-New", 1, "2"), FieldEdit("Received", 1), FieldEdit("X-Old", 2, "3")),
    )
    chain = {
        "a": judge(changes=Changes(prepend=(b"X-New: 1\r\nX-Old: 0\r\n",))), "b": signed, "c": judge(changes=changes)
    }  # fmt: skip
    async with serve(screens=Filters(chain)) as served:
        await _send(served)
    assert chain["c"].heard()[0][1].startswith("X-New: 1\r\nX-Old: 0\r\nX-Signed: 1\r\nSubject: x\r\nX-Old: 1\r\n\r\n")
    content = _content(served)
    assert content.startswith(b"X-Last: 1\r\nX-New: 2\r\nX-Old: 0\r\nX-Signed: 1\r\nReceived: ")
    assert content.endswith(b"Subject: x\r\nX-Old: 3\r\n\r\nhello\r\n.dot\r\n")


async def test_a_judge_s_junk_stands_first_and_counts_as_its_own() -> None:
    changes = Changes(prepend=(b"X-Spam-Score: 7 / 5\r\n",))
    async with serve(screens=Filters({"f": judge(JUNK, changes)})) as served:
        await _send(served)
    assert _content(served).startswith(b"X-Spam: yes\r\nX-Spam-Score: 7 / 5\r\nReceived: ")


async def test_a_judge_s_refusal_is_the_commit_s_and_ends_the_chain() -> None:
    after = Scripted(("commit",), judgement=lambda _: (PROCEED, NO_CHANGES))
    filters = Filters({"f": judge(Reject(Reply(554, "spam", "5.7.1"))), "after": after})
    async with serve(screens=filters) as served:
        assert await _send(served) == "554 5.7.1 spam"
    assert after.heard() == []
    assert served.spool.stored == {}
    assert "filter-response|commit|reject|554 5.7.1 spam" in served.reports()
    assert [each.outcome for each in served.of(Attempt)] == ["policy_rejected"]


async def test_a_judge_that_fails_defers_the_message() -> None:
    def crash(_: bytes) -> tuple[Decision, Changes]:
        raise FilterError("gone", "crash")

    async with serve(screens=Filters({"f": Scripted(judgement=crash)})) as served:
        assert (await _send(served)).startswith("451 4.7.1 ")
    assert [each.phase for each in served.of(FilterFault)] == ["commit"]
    assert [(each.outcome, each.fault) for each in served.of(Attempt)] == [("fault", "filter")]


async def test_lines_go_through_a_stream_with_our_trace_first() -> None:
    async with serve(screens=Filters({"f": stream(lambda line: line.replace(b"hello", b"goodbye"))})) as served:
        assert (await _send(served)).startswith("250 ")
    assert after_trace(_content(served)) == PLAIN.replace(b"hello", b"goodbye")
    assert [(each.phase, each.response) for each in served.of(FilterAnswer)] == [("data-line", "proceed")]


async def test_streams_and_judges_work_in_the_chain_s_order() -> None:
    last = judge()
    filters = Filters({
        "a": stream(lambda line: line + b"1"),
        "b": stream(lambda line: line + b"2"),
        "c": last,
        "d": stream(lambda line: line + b"3"),
    })  # fmt: skip
    async with serve(screens=filters) as served:
        await _send(served, b"hello\r\n.\r\n")
    assert last.heard()[0][1].endswith("hello12\r\n")
    assert _content(served).endswith(b"hello123\r\n")


async def test_a_stream_that_fails_defers_the_message() -> None:
    async with serve(screens=Filters({"f": stream(bytes, fail=True)})) as served:
        assert (await _send(served)).startswith("451 4.7.1 ")
    assert served.spool.stored == {}


@pytest.mark.parametrize("content", [LETTER, BIG + b".\r\n"])
async def test_junk_that_is_known_before_the_content_stands_first_of_all(content: bytes) -> None:
    filters = Filters({"mark": builtin("rcpt-to", action("junk")), "see": judge()})
    async with serve(screens=filters) as served:
        await _send(served, content)
    assert _content(served).startswith(b"X-Spam: yes\r\nReceived: ")


async def test_what_is_too_much_for_memory_waits_in_a_file_without_a_name(tmp_path: Path) -> None:
    seen = judge()
    async with serve(screens=Filters({"f": seen}, folder=tmp_path)) as served:
        assert (await _send(served, BIG + b".\r\n")).startswith("250 ")
    assert seen.heard()[0][1].encode() == BIG
    assert after_trace(_content(served)) == BIG
    assert os.listdir(tmp_path) == []


async def test_big_content_goes_through_a_stream(tmp_path: Path) -> None:
    async with serve(screens=Filters({"f": stream(bytes.upper)}, folder=tmp_path)) as served:
        assert (await _send(served, BIG + b".\r\n")).startswith("250 ")
    assert after_trace(_content(served).replace(b"RECEIVED", b"Received", 1)).endswith(BIG.upper()[30:])


async def test_content_that_is_not_wanted_is_not_held() -> None:
    only_reset = Scripted(("rset",))
    async with serve(screens=Filters({"f": only_reset})) as served:
        client = await served.greeted()
        await client.envelope()
        await client.ask("DATA")
        await client.send(b"Subject: x\r\n\r\nhel")
        await served.until(lambda: b"hel" in b"".join(served.spool.drafts[0].chunks))


async def test_a_message_that_a_filter_makes_too_long_is_deferred() -> None:
    async with serve(screens=Filters({"f": stream(lambda line: line * 1_000)})) as served:
        assert (await _send(served, b"x" * 60_000 + b"\r\n.\r\n")).startswith("451 ")


async def test_envelopes_are_changed_as_a_judge_wants() -> None:
    changes = Changes(
        reverse_path="bounces@example.test",
        add_recipients=("bob@example.test",),
        remove_recipients=("ALICE@example.test",),
    )
    async with serve(screens=Filters({"f": judge(changes=changes)})) as served:
        assert (await _send(served)).startswith("250 ")
    (message,) = served.spool.messages()
    assert message.reverse_path == "bounces@example.test"
    assert [each.recipient for each in message.envelopes] == ["bob@example.test"]


async def test_a_message_without_recipients_left_is_taken_and_dropped() -> None:
    changes = Changes(remove_recipients=("alice@example.test",))
    async with serve(screens=Filters({"f": judge(changes=changes)})) as served:
        assert (await _send(served)).startswith("250 ")
    assert served.spool.stored == {}
    assert any(line.startswith("tx-commit|") for line in served.reports())


async def test_no_room_for_what_waits_is_told_and_nothing_is_kept(tmp_path: Path) -> None:
    filters = Filters({"f": judge()}, folder=tmp_path)
    async with serve(screens=filters) as served:
        screen = served.acceptor.policy_of("mx").screen  # type: ignore[union-attr]
        screen.holder = Holder(tmp_path, disk_bytes=10_000)  # type: ignore[union-attr]
        assert await _send(served, BIG + b".\r\n") == "452 4.3.1 Insufficient system storage"
    assert served.spool.stored == {}


async def test_room_is_given_back(tmp_path: Path) -> None:
    holder = Holder(tmp_path, disk_bytes=1_000_000)
    for _ in range(5):
        held = holder.hold()
        for start in range(0, len(BIG), 50_000):
            held.write(BIG[start : start + 50_000])
            await held.drain()
        assert await held.read(MEMORY_BYTES - 5, 10) == BIG[MEMORY_BYTES - 5 : MEMORY_BYTES + 5]
        assert await held.read(held.size - 3, 100) == BIG[-3:]
        held.close()


async def test_a_file_that_a_thread_still_writes_is_not_closed_under_it(tmp_path: Path) -> None:
    """Its number could be another file's by then: the queue's."""
    gate, entered = threading.Event(), threading.Event()
    seen: list[int] = []

    class Slow(Holder):
        def open(self) -> Any:
            file = super().open()
            seen.append(file.descriptor)
            entered.set()
            gate.wait(5)
            return file

    held = Slow(tmp_path).hold()
    held.write(BIG)
    writing = asyncio.create_task(held.flush())
    await asyncio.to_thread(entered.wait, 5)
    writing.cancel()
    held.close()
    assert os.fstat(seen[0])
    gate.set()
    await asyncio.gather(writing, return_exceptions=True)


async def test_a_client_that_goes_while_filters_are_asked_leaves_nothing_behind() -> None:
    """Else it would send the message again, and it would come twice."""
    gone: list[bool] = []
    asked = judge()
    async with serve(screens=Filters({"f": asked})) as served:
        client = await served.greeted()

        def leave(content: bytes) -> tuple[Decision, Changes]:
            session = next(iter(served.acceptor._crowd))
            session.connection_lost(None)  # type: ignore[attr-defined]
            gone.append(True)
            return PROCEED, NO_CHANGES

        asked._judgement = leave
        await client.envelope()
        await client.ask("DATA")
        await client.send(LETTER)
        await served.finished()
    assert gone
    assert served.spool.stored == {}
    assert served.spool.drafts[0].aborted
    assert [line for line in served.reports() if line.startswith("tx-")][-1].startswith("tx-reset")


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize("shadows", [(), ("f",)])
async def test_a_message_that_a_filter_has_counts_as_a_question_that_waits(
    streams: bool, shadows: tuple[str, ...]
) -> None:
    may_go, waiting = asyncio.Event(), Scripted()

    class Waiting(Lines):
        async def finish(self) -> bytes:
            await may_go.wait()
            return await super().finish()

    async def judge_later(facts: Facts, content: Content) -> tuple[Decision, Changes]:
        await may_go.wait()
        return PROCEED, NO_CHANGES

    waiting.streams, waiting.judges_content = streams, not streams
    waiting.open_lines = lambda facts: Waiting(bytes)  # type: ignore[method-assign]
    waiting.judge = judge_later  # type: ignore[method-assign]
    async with serve(screens=Filters({"f": waiting}, shadows=shadows)) as served:
        (member,) = served.acceptor.policy_of("mx").screen.chain.members  # type: ignore[union-attr]
        client = await served.greeted()
        await client.envelope()
        await client.ask("DATA")
        await client.send(LETTER)
        await served.until(lambda: member.load.waiting == 1)
        may_go.set()
        assert (await client.reply()).startswith("250 ")
        await served.until(lambda: member.load.waiting == 0)


async def test_bdat_is_filtered_as_data_is() -> None:
    seen = Scripted(("data", "commit"), judgement=lambda _: (PROCEED, Changes(prepend=(b"X-A: b\r\n",))))
    async with serve(screens=Filters({"f": seen})) as served:
        client = await served.greeted()
        await client.envelope()
        for chunk in (b"BDAT 10\r\nSubject: x", b"BDAT 5 LAST\r\n\r\n\r\na"):
            await client.send(chunk)
            assert (await client.reply())[:3] == "250"
    assert [phase for phase, _ in seen.heard()] == ["data", "commit", "commit"]
    assert _content(served).startswith(b"X-A: b\r\nReceived: ")


async def test_a_refusal_at_data_skips_the_chunk() -> None:
    async with serve(screens=Filters({"f": builtin("data", action("reject", text="no"))})) as served:
        client = await served.greeted()
        await client.envelope()
        await client.send(b"BDAT 4 LAST\r\nRSET")
        assert await client.reply() == "550 5.7.1 no"
        assert await client.ask("RSET") == "250 2.0.0 Reset state"
