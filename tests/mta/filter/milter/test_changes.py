"""What milters do to messages, and hostile milters."""

import asyncio
import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paquebot_mta.config.filters import Milter
from paquebot_mta.filter.contract import Changes, FieldEdit, FilterError
from paquebot_mta.filter.decisions import PROCEED
from paquebot_mta.filter.milter import connection
from paquebot_mta.filter.milter.connection import parse_address
from paquebot_mta.filter.milter.milter import MilterFilter
from paquebot_mta.filter.milter.replies import Modifications, refusal
from paquebot_mta.filter.milter.wire import PACKET_BYTES, MilterError, PacketReader, packet
from tests.support.processes import LOOPBACK, free_port, peer_directory

from ..asked import SESSION, MemoryContent, World, facts
from .scripted import ScriptedMilter, asked
from .test_dialogue import LETTER, converse, known


def indexed(index: int, name: bytes, value: bytes) -> bytes:
    return struct.pack(">I", index) + name + b"\0" + value + b"\0"


async def changes(*packets: bytes) -> Changes:
    script = ScriptedMilter({b"E": b"".join(packets) + packet(b"a")})
    async with asked(script) as milter:
        decision, found = await converse(milter)
    assert decision == PROCEED
    return found


async def test_fields_are_added_inserted_changed_and_removed() -> None:
    found = await changes(
        packet(b"h", b"X-Last\0 a\n\tb\0"),
        packet(b"i", indexed(0, b"X-Two", b"2")),
        packet(b"i", indexed(0, b"X-One", b"1")),
        packet(b"m", indexed(2, b"Received", b"new")),
        packet(b"m", indexed(1, b"Bcc", b"")),
    )
    assert found.prepend == (b"X-One: 1\r\n", b"X-Two: 2\r\n", b"X-Last: a\r\n\tb\r\n")
    assert found.edits == (FieldEdit("Received", 2, "new"), FieldEdit("Bcc", 1, None))


async def test_the_envelope_is_changed() -> None:
    found = await changes(
        packet(b"e", b"<new@else.test>\0"),
        packet(b"+", b"<more@example.test>\0"),
        packet(b"2", b"<other@example.test>\0NOTIFY=NEVER\0"),
        packet(b"-", b"bob@example.test\0"),
    )
    assert found == Changes(
        reverse_path="new@else.test",
        add_recipients=("more@example.test", "other@example.test"),
        remove_recipients=("bob@example.test",),
    )


async def test_the_body_is_replaced_piece_by_piece() -> None:
    assert (await changes(packet(b"b", b"one\r\n"), packet(b"p"), packet(b"b", b"two\r\n"))).body == b"one\r\ntwo\r\n"


async def test_no_field_breaks_out_of_its_line() -> None:
    found = await changes(packet(b"h", b"X-A\0one\r\n\r\nbody\rX: y\x07\0"))
    assert found.prepend == (b"X-A: one\r\n\tbody\r\n\tX: y?\r\n",)


GARBAGE = {
    "no options": {b"O": packet(b"c")},
    "short options": {b"O": packet(b"O", b"\0\0\0\6")},
    "a version of the future": {b"O": packet(b"O", struct.pack(">III", 7, 0, 0))},
    "actions nobody offered": {b"O": packet(b"O", struct.pack(">III", 6, 0x1000, 0))},
    "a packet of nothing": {b"C": b"\0\0\0\0"},
    "a packet without an end": {b"C": struct.pack(">I", PACKET_BYTES + 1) + b"c"},
    "an unknown letter": {b"C": packet(b"?")},
    "a change too early": {b"M": packet(b"h", b"a\0b\0") + packet(b"c")},
    "a skip of what is no body": {b"M": packet(b"s")},
    "two answers for one": {b"C": packet(b"c") + packet(b"c")},
    "a reply of success": {b"M": packet(b"y", b"250 ok\0")},
    "a reply that is none": {b"M": packet(b"y", b"5x0 no\r\n250 yes\0")},
    "a field without a name": {b"E": packet(b"h", b"A B\0c\0") + packet(b"c")},
    "a text without an end": {b"E": packet(b"h", b"A") + packet(b"c")},
    "a change without a place": {b"E": packet(b"m", b"\0") + packet(b"c")},
    "too many changes": {b"E": packet(b"h", b"A\0b\0") * 5_001 + packet(b"c")},
    "too long a header": {b"E": packet(b"h", b"A\0" + b"b" * 600_000 + b"\0") * 2 + packet(b"c")},
    "too long a body": {b"E": packet(b"b", b"x" * 1_000_000) * 5 + packet(b"c")},
}


@pytest.mark.parametrize("answers", GARBAGE.values(), ids=GARBAGE.keys())
async def test_garbage_is_a_fault_of_the_filter_and_the_connection_is_given_up(answers: dict[bytes, bytes]) -> None:
    script = ScriptedMilter(answers)
    async with asked(script) as milter:
        with pytest.raises(FilterError) as caught:
            await converse(milter)
        assert caught.value.reason == "protocol"
        script.answers.clear()
        assert (await milter.judge(known(), MemoryContent(LETTER)))[0] == PROCEED
    assert script.connections == 2


async def test_silence_ends_at_the_deadline() -> None:
    script = ScriptedMilter()
    script.silent = frozenset({b"M"})
    async with asked(script, timeout_seconds=0.05) as milter:
        with pytest.raises(FilterError, match="in time") as caught:
            await converse(milter)
    assert caught.value.reason == "timeout"


async def test_progress_moves_the_deadline_but_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "HARD_FACTOR", 3)
    gone = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(packet(b"O", struct.pack(">III", 6, 0, 0)))
        await reader.read(1_000)
        with contextlib.suppress(OSError):
            while not reader.at_eof():
                writer.write(packet(b"p"))
                await writer.drain()
                await asyncio.sleep(0.02)
        writer.close()
        gone.set()

    server = await asyncio.start_server(serve, LOOPBACK, 0)
    config = Milter(address=f"{LOOPBACK}:{server.sockets[0].getsockname()[1]}", timeout_seconds=0.4)
    milter = MilterFilter("milter", config, World().tools)
    began = asyncio.get_running_loop().time()
    try:
        with pytest.raises(FilterError, match="in time"):
            await milter.decide("connect", facts(), "")
        assert asyncio.get_running_loop().time() - began > 0.6
        await gone.wait()
    finally:
        await milter.close()
        server.close()


async def test_a_milter_that_hangs_up_or_is_away_is_a_fault() -> None:
    closed = asyncio.Event()

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()
        await writer.wait_closed()
        closed.set()

    server = await asyncio.start_server(hang_up, LOOPBACK, 0)
    for port in (server.sockets[0].getsockname()[1], free_port()):
        milter = MilterFilter("milter", Milter(address=f"{LOOPBACK}:{port}"), World().tools)
        with pytest.raises(FilterError):
            await milter.decide("connect", facts(), "")
    await closed.wait()
    server.close()


async def test_a_unix_socket_is_reached() -> None:
    script = ScriptedMilter()
    with peer_directory() as folder:
        server = await asyncio.start_unix_server(script.accept, folder / "milter.sock")
        config = Milter(address=f"unix:{folder}/milter.sock")
        milter = MilterFilter("milter", config, World().tools)
        assert await milter.decide("connect", facts(), "") == PROCEED
        await milter.close()
        await asyncio.wait(script.serving, timeout=2.0)
        server.close()


async def test_a_session_that_ended_says_good_bye() -> None:
    script = ScriptedMilter()
    async with asked(script) as milter:
        await milter.decide("connect", facts(), "")
        milter.forget(SESSION)
    assert script.letters() == b"CQ"


async def test_a_call_that_is_given_up_gives_up_its_connection() -> None:
    told = asyncio.Event()

    def hold(data: bytes) -> bytes:
        told.set()
        return b""

    script = ScriptedMilter({b"M": hold})
    async with asked(script) as milter:
        call = asyncio.create_task(converse(milter))
        await told.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        script.answers.clear()
        assert (await converse(milter))[0] == PROCEED
    assert script.connections == 2


@pytest.mark.parametrize("text", ["", "host", ":25", "host:0", "host:65536", "unix:", "host:\u0665"])
def test_addresses_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="address"):
        parse_address(text)


def test_addresses_of_version_6_stand_in_brackets() -> None:
    assert parse_address("[2001:db8::1]:8891") == ("2001:db8::1", 8891)


@given(st.lists(st.binary(max_size=20), max_size=6), st.integers(1, 30))
def test_how_bytes_are_cut_never_matters(data: list[bytes], size: int) -> None:
    stream = b"".join(packet(b"c", each) for each in data)
    reader, found = PacketReader(), []
    for start in range(0, len(stream), size):
        reader.feed(stream[start : start + size])
        while (each := reader.next_packet()) is not None:
            found.append(each)
    assert found == [(b"c", each) for each in data]


@given(st.lists(st.tuples(st.sampled_from([b"h", b"i", b"m", b"b", b"+", b"2", b"-", b"e", b"q", b"x"]), st.binary())))
def test_any_change_is_taken_or_refused(told: list[tuple[bytes, bytes]]) -> None:
    found = Modifications(1_000)
    try:
        for letter, data in told:
            found.take(letter, data)
    except MilterError:
        return
    assert all(line.count(b"\n") == line.count(b"\r\n") for line in found.prepend)


@given(st.binary())
def test_any_refusal_is_a_reply_or_garbage(data: bytes) -> None:
    try:
        refusal(b"y", data)
    except MilterError:
        return
