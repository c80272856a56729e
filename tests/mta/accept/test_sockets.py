"""The addresses that a listener can have."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from paquebot_mta.accept import sockets
from paquebot_mta.accept.link import LinkSession
from paquebot_mta.accept.shared import SharedSockets
from paquebot_mta.accept.sockets import HandServer, bind


@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_all_addresses_of_ipv6_are_all_addresses_of_ipv4_too(family: int, host: str) -> None:
    with bind("::", 0) as listening, socket.socket(family) as client:
        listening.listen()
        client.settimeout(5.0)
        client.connect((host, listening.getsockname()[1]))
        accepted, _ = listening.accept()
        accepted.close()


def test_a_socket_in_the_file_system_is_for_everybody_who_reaches_it(tmp_path: Path) -> None:
    with bind(f"unix:{tmp_path}/s", 0):
        assert (tmp_path / "s").stat().st_mode & 0o777 == 0o666


def test_a_socket_that_was_left_behind_is_replaced_but_none_that_is_served(tmp_path: Path) -> None:
    with bind(f"unix:{tmp_path}/s", 0) as served:
        served.listen()
        with pytest.raises(OSError, match="in use"):
            bind(f"unix:{tmp_path}/s", 0)
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(f"{tmp_path}/s")
    with bind(f"unix:{tmp_path}/s", 0) as next_one:
        next_one.listen()


def test_what_is_no_socket_is_never_removed(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("precious")
    with pytest.raises(OSError, match="in use"):
        bind(f"unix:{tmp_path}/s", 0)
    assert (tmp_path / "s").read_text() == "precious"


def test_processes_that_share_sockets_take_from_one_queue(tmp_path: Path) -> None:
    shared = SharedSockets()
    ended = []
    for _ in range(2):
        pid = os.fork()
        if pid == 0:
            os._exit(_listens(shared, f"unix:{tmp_path}/s"))
        ended.append(os.waitpid(pid, 0)[1])
    assert ended == [0, 0]
    with shared.bind(f"unix:{tmp_path}/s", 0) as third, socket.socket(socket.AF_UNIX) as client:
        client.connect(f"{tmp_path}/s")  # though who began to listen is gone
        accepted, _ = third.accept()
        accepted.close()
    shared.close()


def _listens(shared: SharedSockets, address: str) -> int:
    try:
        shared.bind(address, 0).listen()
    except BaseException:
        return 1
    return 0


def test_sockets_of_several_paths_are_several_and_a_removed_one_is_made_again(tmp_path: Path) -> None:
    shared = SharedSockets(3)
    with shared.bind(f"unix:{tmp_path}/a", 0) as a, shared.bind(f"unix:{tmp_path}/b", 0) as b:
        assert (a.getsockname(), b.getsockname()) == (f"{tmp_path}/a", f"{tmp_path}/b")
        (tmp_path / "a").unlink()
        with shared.bind(f"unix:{tmp_path}/a", 0):
            assert (tmp_path / "a").is_socket()
        with pytest.raises(OSError, match="too many"):
            shared.bind(f"unix:{tmp_path}/c", 0)
        with shared.bind("127.0.0.1", 0) as port:
            assert port.family == socket.AF_INET
    shared.close()


class Exhausted(socket.socket):
    """Has no descriptor for the first connection that it could accept."""

    tries = 0

    def accept(self) -> tuple[socket.socket, Any]:
        self.tries += 1
        if self.tries == 1:
            raise OSError(errno.EMFILE, "too many open files")
        return super().accept()


class Opened(LinkSession):
    """Does nothing but note that it was opened."""

    def __init__(self, opened: list[socket.socket]) -> None:
        self._opened = opened

    async def open_accepted(self, connection: socket.socket) -> None:
        self._opened.append(connection)


async def connected(listening: socket.socket) -> socket.socket:
    client = socket.socket()
    client.setblocking(False)
    await asyncio.get_running_loop().sock_connect(client, listening.getsockname())
    return client


class Serving(NamedTuple):
    """A server without descriptors, what it listens on, and what it has accepted in the end."""

    listening: Exhausted
    server: HandServer
    opened: list[socket.socket]


@pytest.fixture
async def serving(monkeypatch: pytest.MonkeyPatch) -> Serving:
    monkeypatch.setattr(sockets, "_PAUSE_SECONDS", 0.02)
    listening, opened = Exhausted(), list[socket.socket]()
    listening.bind(("127.0.0.1", 0))
    return Serving(listening, HandServer(lambda: Opened(opened), listening), opened)


async def test_who_comes_while_there_are_no_descriptors_waits_and_is_served(serving: Serving) -> None:
    listening, server, opened = serving
    with await connected(listening):
        async with asyncio.timeout(5.0):
            while not opened:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.005)
    assert listening.tries >= 2
    server.close()
    server.close()
    opened[0].close()


async def test_an_end_while_there_are_no_descriptors_is_one(serving: Serving) -> None:
    listening, server, opened = serving
    with await connected(listening):
        async with asyncio.timeout(5.0):
            while not listening.tries:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.001)
        await server.stop()
        await asyncio.sleep(0.05)
    assert (opened, listening.fileno()) == ([], -1)
