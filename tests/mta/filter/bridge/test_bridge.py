"""The bridge puts any program behind a unix socket, needs nothing in its image, and leaves nothing behind."""

import asyncio
import errno
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from paquebot_mta.config.filters import Process
from paquebot_mta.config.reports import Subscriber
from paquebot_mta.filter.contract import FilterError
from paquebot_mta.filter.decisions import PROCEED, Say
from paquebot_mta.filter.reports.subscribers import Subscribers
from paquebot_mta.telemetry.bus import Bus
from paquebot_mta.telemetry.events import TxReset
from tests.mta.filter.process.stage import M, Notices, S, facts, probe, running, until
from tests.support.bridge import compile_bridge
from tests.support.processes import PeerProcess, peer_directory
from tests.support.requirements import needs_programs

pytestmark = [pytest.mark.integration, needs_programs("gcc")]


@pytest.fixture(scope="module")
def bridge() -> Iterator[Path]:
    with peer_directory() as directory:
        yield compile_bridge(directory / "bridge")


@pytest.fixture
def folder() -> Iterator[Path]:
    with peer_directory() as directory:
        yield directory


def _serve(bridge: Path, folder: Path, *command: str) -> PeerProcess:
    process = PeerProcess([str(bridge), str(folder / "socket"), *command], folder / "log")
    process.wait_for(lambda: (folder / "socket").is_socket(), "the socket")
    return process


async def test_a_filter_behind_the_bridge_answers_as_a_child_does(bridge: Path, folder: Path) -> None:
    settings = Process(socket=str(folder / "socket"))
    with _serve(bridge, folder, *probe("echo")):
        async with running(Bus(), settings) as first, running(Bus(), settings) as second:
            for found in (first, second):
                assert await found.decide("helo", facts(), "proceed") == PROCEED


async def test_a_filter_that_dies_behind_the_bridge_is_started_anew(bridge: Path, folder: Path) -> None:
    with _serve(bridge, folder, *probe("die")) as process:
        async with running(Bus(), Process(socket=str(folder / "socket"))) as found:
            with pytest.raises(FilterError):
                await found.decide("helo", facts(), "x")
            await until(lambda: found.status().restarts == 1 and not found.trouble())
        assert "I can't go on" in process.log()


async def test_a_filter_comes_up_when_its_bridge_does(bridge: Path, folder: Path) -> None:
    bus = Bus()
    notices = Notices(bus)
    starting = asyncio.create_task(asyncio.to_thread(_late, bridge, folder))
    async with running(bus, Process(socket=str(folder / "socket"))) as found:
        process = await starting
        with process:
            await until(lambda: not found.trouble())
            assert await found.decide("helo", facts(), "proceed") == PROCEED
            assert notices.named("filter.crashed")


def _late(bridge: Path, folder: Path) -> PeerProcess:
    time.sleep(0.1)
    return _serve(bridge, folder, *probe("echo"))


async def test_what_a_connection_started_ends_with_it(bridge: Path, folder: Path) -> None:
    with _serve(bridge, folder, *probe("children")):
        async with running(Bus(), Process(socket=str(folder / "socket"))) as found:
            said = await found.decide("helo", facts(), "x")
            assert isinstance(said, Say)
            pids = [int(pid) for pid in said.message.split()]
        await until(lambda: not any(map(_lives, pids)))


def test_a_program_that_minds_no_end_is_killed(bridge: Path, folder: Path) -> None:
    stubborn = "import signal, time, os; signal.signal(15, 1); print(os.getpid(), flush=True); time.sleep(60)"
    with _serve(bridge, folder, sys.executable, "-c", stubborn), socket.socket(socket.AF_UNIX) as client:
        client.connect(str(folder / "socket"))
        pid = int(client.makefile().readline())
        client.close()
        deadline = time.monotonic() + 15
        while _lives(pid) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not _lives(pid)


def test_the_end_of_the_bridge_ends_all(bridge: Path, folder: Path) -> None:
    with (
        _serve(
            bridge, folder, sys.executable, "-c", "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
        ) as process,
        socket.socket(socket.AF_UNIX) as client,
    ):
        client.connect(str(folder / "socket"))
        pid = int(client.makefile().readline())
        process.signal(signal.SIGTERM)
        assert process.wait(10) == 0
        assert not (folder / "socket").exists()
    assert not _lives(pid)


async def test_a_subscriber_may_be_behind_the_bridge(bridge: Path, folder: Path) -> None:
    with _serve(bridge, folder, "/bin/sh", "-c", f"exec cat > {folder}/copy"):
        bus = Bus()
        subscribers = Subscribers(bus, lambda: 1.0)
        await subscribers.apply({"a": Subscriber(socket=str(folder / "socket"))})
        bus.emit(TxReset(direction="in", session=S, endpoint="mx", msgid=M))
        await until(lambda: (folder / "copy").exists() and (folder / "copy").stat().st_size > 0)
        await subscribers.close()


ASK = """
import socket
for family in (socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK, socket.AF_PACKET, socket.AF_UNIX):
    try:
        socket.socket(family, socket.SOCK_DGRAM).close()
        print(family.name, "made")
    except OSError as error:
        print(family.name, error.strerror)
print(open("/proc/self/status").read().partition("NoNewPrivs:")[2].split()[0], flush=True)
"""


@pytest.mark.parametrize("networks", [True, False])
def test_without_network_there_are_unix_sockets_alone(bridge: Path, folder: Path, *, networks: bool) -> None:
    options = [] if networks else ["--no-network"]
    argv = [str(bridge), *options, str(folder / "socket"), sys.executable, "-c", ASK]
    with PeerProcess(argv, folder / "log") as process, socket.socket(socket.AF_UNIX) as client:
        process.wait_for(lambda: (folder / "socket").is_socket(), "the socket")
        client.connect(str(folder / "socket"))
        *sockets, privileges = client.makefile().read().splitlines()
    said = dict(each.split(" ", 1) for each in sockets)
    assert said["AF_UNIX"] == "made"
    if networks:
        assert said["AF_INET"] == "made"
    else:
        assert {said[name] for name in said if name != "AF_UNIX"} == {"Permission denied"}
        assert privileges == "1"


IO_URING_SETUP = (
    "import ctypes; ctypes.CDLL(None, use_errno=True).syscall(425, 1, 0); print(ctypes.get_errno(), flush=True)"
)


def test_without_network_io_uring_makes_no_sockets_either(bridge: Path, folder: Path) -> None:
    argv = [str(bridge), "--no-network", str(folder / "socket"), sys.executable, "-c", IO_URING_SETUP]
    with PeerProcess(argv, folder / "log") as process, socket.socket(socket.AF_UNIX) as client:
        process.wait_for(lambda: (folder / "socket").is_socket(), "the socket")
        client.connect(str(folder / "socket"))
        assert int(client.makefile().readline()) == errno.ENOSYS


def test_it_is_static_and_installs_itself(bridge: Path, folder: Path) -> None:
    subprocess.run([bridge, "--install", folder / "copy"], check=True)
    assert (folder / "copy").read_bytes() == bridge.read_bytes()
    assert (folder / "copy").stat().st_mode & 0o777 == 0o755
    # No interpreter: the kernel alone starts it.
    assert not re.search(rb"/ld-linux|ld-musl", bridge.read_bytes())


def test_wrong_use_is_said(bridge: Path, folder: Path) -> None:
    assert subprocess.run([bridge], capture_output=True, check=False).returncode == 2
    done = subprocess.run([bridge, folder / ("x" * 200), "true"], capture_output=True, check=False)
    assert done.returncode == 1
    assert b"too long" in done.stderr


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_it_keeps_no_descriptor_of_ended_connections(bridge: Path, folder: Path) -> None:
    with _serve(bridge, folder, "/bin/cat") as process:
        before = len(os.listdir(f"/proc/{process.pid}/fd"))
        for _ in range(100):
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(folder / "socket"))
                client.sendall(b"x\n")
                assert client.recv(10) == b"x\n"
        deadline = time.monotonic() + 10
        while len(os.listdir(f"/proc/{process.pid}/fd")) > before and time.monotonic() < deadline:
            time.sleep(0.05)
        assert len(os.listdir(f"/proc/{process.pid}/fd")) == before
