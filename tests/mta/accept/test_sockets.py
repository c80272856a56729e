"""The addresses that a listener can have."""

from __future__ import annotations

import asyncio
import errno
import socket
from typing import Any, NamedTuple

import pytest

from paquebot_mta.accept import sockets
from paquebot_mta.accept.link import LinkSession
from paquebot_mta.accept.sockets import HandServer, bind


@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_all_addresses_of_ipv6_are_all_addresses_of_ipv4_too(family: int, host: str) -> None:
    with bind("::", 0) as listening, socket.socket(family) as client:
        listening.listen()
        client.settimeout(5.0)
        client.connect((host, listening.getsockname()[1]))
        accepted, _ = listening.accept()
        accepted.close()


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
