"""A milter that does what a script says, and keeps what it was told."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

from paquebot_mta.config.filters import Milter
from paquebot_mta.filter.milter.milter import MilterFilter, build_milter
from paquebot_mta.filter.milter.wire import PacketReader, packet
from paquebot_mta.filter.tools import Places
from tests.support.processes import LOOPBACK

from ..asked import World

CONTINUE = packet(b"c")
ANSWERED = frozenset({b"C", b"H", b"M", b"R", b"T", b"L", b"N", b"B", b"E"})
Answer = bytes | Callable[[bytes], bytes]


class ScriptedMilter:
    """Answers each command by what `answers` has for its letter, "continue" without.

    `told` lists letters and data, without options; `steps` are the bits that it wants, `answers[b"O"]` replaces all of
    its options. `silent` commands are not answered.
    """

    def __init__(self, answers: Mapping[bytes, Answer] | None = None, *, steps: int = 0, version: int = 6) -> None:
        self.answers = dict(answers or {})
        self.steps = steps
        self.version = version
        self.silent: frozenset[bytes] = frozenset()
        self.told: list[tuple[bytes, bytes]] = []
        self.offers: list[bytes] = []
        self.connections = 0
        self.serving: set[asyncio.Task[None]] = set()

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve a connection; whoever ends the test waits for it."""
        task = asyncio.create_task(self.serve(reader, writer))
        self.serving.add(task)
        await task

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        packets = PacketReader()
        try:
            while data := await reader.read(65_536):
                packets.feed(data)
                while (found := packets.next_packet()) is not None:
                    writer.write(self._answer(*found))
        except OSError:
            pass
        finally:
            writer.close()

    def _answer(self, letter: bytes, data: bytes) -> bytes:
        if letter == b"O":
            self.offers.append(data)
            answer = self.answers.get(b"O", packet(b"O", struct.pack(">III", self.version, 0x1FF, self.steps)))
        else:
            self.told.append((letter, data))
            if letter not in ANSWERED or letter in self.silent:
                return b""
            answer = self.answers.get(letter, CONTINUE)
        return answer if isinstance(answer, bytes) else answer(data)

    def letters(self, *without: bytes) -> bytes:
        """Return the letters of what it was told, in order; macros are left out."""
        return b"".join(letter for letter, _ in self.told if letter not in {b"D", *without})

    def data(self, letter: bytes) -> list[bytes]:
        """Return the data of all commands of a letter."""
        return [data for told, data in self.told if told == letter]

    def macros(self, stage: bytes) -> dict[str, str]:
        """Return the macros that it was told with the last command of a letter."""
        found = [data[1:] for data in self.data(b"D") if data[:1] == stage][-1]
        texts = found.decode().split("\0")[:-1]
        return dict(zip(texts[::2], texts[1::2], strict=True))


@asynccontextmanager
async def asked(script: ScriptedMilter, timeout_seconds: float = 20.0) -> AsyncIterator[MilterFilter]:
    """Serve the script, and give a filter that asks it."""
    server = await asyncio.start_server(script.accept, LOOPBACK, 0)
    address = f"{LOOPBACK}:{server.sockets[0].getsockname()[1]}"
    config = Milter(address=address, timeout_seconds=timeout_seconds)
    made = build_milter("milter", config, Places(), World().tools)
    try:
        yield made
    finally:
        await made.close()
        if script.serving:
            await asyncio.wait(script.serving, timeout=20.0)
        await asyncio.sleep(0)
        server.close()
