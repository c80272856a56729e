"""Subscribers get numbered lines; a slow one loses its own, which the numbers show, and takes nobody's time."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from paquebot_mta.config.reports import Subscriber
from paquebot_mta.filter.reports.files import RotatingFile
from paquebot_mta.filter.reports.subscribers import Subscribers
from paquebot_mta.mail.ids import SessionId
from paquebot_mta.telemetry.bus import Bus
from paquebot_mta.telemetry.events import Direction, LinkDisconnect, Notice, ProtocolClient, TxBegin
from tests.mta.filter.process.stage import M, Notices, S, until

COPY = "import sys\nfor line in sys.stdin:\n    open({!r}, 'a').write(line)"


@asynccontextmanager
async def _serving(bus: Bus, settings: Subscriber, process: str = "") -> AsyncIterator[Subscribers]:
    subscribers = Subscribers(bus, lambda: 1.5, process)
    await subscribers.apply({"probe": settings})
    try:
        yield subscribers
    finally:
        await subscribers.close()


def _line(command: str, direction: Direction = "in") -> ProtocolClient:
    return ProtocolClient(direction=direction, session=S, endpoint="mx", command=command)


async def test_a_file_gets_numbered_reports(tmp_path: Path) -> None:
    bus, path = Bus(), tmp_path / "new" / "events"
    async with _serving(bus, Subscriber(file=str(path))):
        bus.emit(_line("HELO a|b"))
        bus.emit(Notice(level="info", event="service.started"))
        bus.emit(TxBegin(direction="out", session=SessionId("0" * 16), endpoint="mx", msgid=M))
    assert path.read_text().splitlines() == [
        f"1|report|0.7|1.500000|smtp-in|protocol-client|{S}|HELO a|b",
        f"2|report|0.7|1.500000|smtp-out|tx-begin|{'0' * 16}|{M}",
    ]


async def test_a_subscriber_gets_what_it_wants_only(tmp_path: Path) -> None:
    bus, path = Bus(), tmp_path / "events"
    wanted = Subscriber(file=str(path), subsystems=("smtp-out",), events=("link-disconnect",))
    async with _serving(bus, wanted, "pod-3"):
        bus.emit(_line("x", "out"))
        for direction in ("in", "out"):
            way: Direction = "in" if direction == "in" else "out"
            bus.emit(LinkDisconnect(direction=way, session=S, endpoint="mx"))
    text = (tmp_path / "events-pod-3").read_text()
    assert text == f"1|report|0.7|1.500000|smtp-out|link-disconnect|{S}\n"


def test_a_file_is_rotated_and_few_old_ones_stay(tmp_path: Path) -> None:
    path = tmp_path / "events"
    file = RotatingFile(path, max_bytes=100, keep=2)
    for number in range(10):
        assert file.write(b"%d" % number * 60 + b"\n") == 61
    file.close()
    found = {each.name: each.read_text()[0] for each in tmp_path.iterdir()}
    assert found == {"events": "9", "events.1": "8", "events.2": "7"}


def test_a_file_is_gone_on_with_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "events"
    for _ in range(2):
        file = RotatingFile(path, max_bytes=100, keep=0)
        file.write(b"x" * 60 + b"\n")
        file.close()
    assert path.stat().st_size == 61
    assert len(list(tmp_path.iterdir())) == 1


async def test_a_file_that_can_t_be_written_loses_lines_and_harms_nobody(tmp_path: Path) -> None:
    bus = Bus()
    (tmp_path / "file").touch()
    subscribers = Subscribers(bus, lambda: 1.5)
    await subscribers.apply({"probe": Subscriber(file=str(tmp_path / "file" / "events"))})
    bus.emit(_line("x"))
    await subscribers.close()
    assert subscribers.dropped() == 1
    assert bus.dropped == 0


async def test_a_program_reads_from_its_standard_input(tmp_path: Path) -> None:
    bus, path = Bus(), tmp_path / "copy"
    settings = Subscriber(command=(sys.executable, "-I", "-c", COPY.format(str(path))))
    async with _serving(bus, settings):
        for number in range(3):
            bus.emit(_line(f"{number}"))
        await until(lambda: path.exists() and path.read_text().count("\n") == 3)
        bus.emit(_line("at the end"))
    assert [line.split("|")[0] for line in path.read_text().splitlines()] == ["1", "2", "3", "4"]


async def test_a_program_that_ends_is_started_again(tmp_path: Path) -> None:
    bus, path = Bus(), tmp_path / "copy"
    notices = Notices(bus)
    program = f"import sys\nopen({str(path)!r}, 'a').write(sys.stdin.readline())\nsys.exit('done')"
    async with _serving(bus, Subscriber(command=(sys.executable, "-I", "-c", program))):
        bus.emit(_line("a"))
        await until(lambda: len(notices.named("report.subscriber")) == 2)
        bus.emit(_line("b"))
        await until(lambda: path.read_text().count("\n") == 2)
    assert [str(each.details["cause"]) for each in notices.all[:2]] == ["done", "it ended"]


async def test_a_slow_subscriber_loses_its_own_events_and_the_numbers_show_it(tmp_path: Path) -> None:
    bus, got = Bus(), list[bytes]()
    go_on = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await go_on.wait()
        while line := await reader.readline():
            got.append(line)
        writer.close()

    server = await asyncio.start_unix_server(serve, tmp_path / "socket")
    file = tmp_path / "file"
    subscribers = Subscribers(bus, lambda: 1.5)
    slow = Subscriber(socket=str(tmp_path / "socket"), waiting_bytes=200_000)
    await subscribers.apply({"slow": slow, "file": Subscriber(file=str(file))})
    for turn in range(100):
        await asyncio.sleep(0)
        for _ in range(20):
            bus.emit(_line("x" * 500))
        if turn == 50:
            await asyncio.sleep(0.05)
    go_on.set()
    await until(lambda: bool(got))
    await asyncio.sleep(0.05)
    bus.emit(_line("last"))
    await until(lambda: got[-1].endswith(b"last\n"))
    lost = subscribers.dropped()
    await subscribers.close()
    server.close()
    numbers = [int(line.split(b"|", 1)[0]) for line in got]
    assert 0 < lost == 2_001 - len(numbers)
    assert numbers == sorted(numbers)
    assert numbers[-1] == 2_001
    assert len(file.read_bytes().splitlines()) == 2_001


async def test_a_socket_where_nobody_listens_is_tried_again(tmp_path: Path) -> None:
    bus, path = Bus(), tmp_path / "socket"
    notices = Notices(bus)
    async with _serving(bus, Subscriber(socket=str(path))):
        bus.emit(_line("early"))
        await until(lambda: bool(notices.named("report.subscriber")))
        got = asyncio.get_running_loop().create_future()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            got.set_result(await reader.readline())
            writer.close()

        server = await asyncio.start_unix_server(serve, path)
        assert (await asyncio.wait_for(got, 10)).endswith(b"early\n")
        server.close()


async def test_a_subscriber_that_is_wanted_as_before_goes_on_counting(tmp_path: Path) -> None:
    bus, path = Bus(), tmp_path / "events"
    settings = Subscriber(file=str(path))
    async with _serving(bus, settings) as subscribers:
        bus.emit(_line("a"))
        await subscribers.apply({"probe": settings})
        bus.emit(_line("b"))
        await subscribers.apply({"probe": Subscriber(file=str(path), keep=1)})
        bus.emit(_line("c"))
    assert [line.split("|")[0] for line in path.read_text().splitlines()] == ["1", "2", "1"]


@pytest.mark.parametrize("evil", ["a\nb", "a\r\nb", "\x00"])
async def test_no_event_breaks_out_of_its_line(evil: str, tmp_path: Path) -> None:
    bus, path = Bus(), tmp_path / "events"
    async with _serving(bus, Subscriber(file=str(path))):
        bus.emit(_line(evil))
    assert path.read_bytes().count(b"\n") == 1
    assert b"\x00" not in path.read_bytes()
