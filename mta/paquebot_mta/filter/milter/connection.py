"""One connection to a milter: commands out, answers in, a deadline that progress moves, up to an end."""

import asyncio
from collections.abc import Callable
from typing import Final, Self

from paquebot_mta.filter.milter.options import OFFER, Options, read_options
from paquebot_mta.filter.milter.replies import FINAL, PROGRESS
from paquebot_mta.filter.milter.wire import MilterError, PacketReader, packet

HARD_FACTOR: Final = 10
"""A milter that only ever says that it makes progress is given up after so many deadlines."""
_READ_BYTES: Final = 65_536
Address = str | tuple[str, int]
"""The path of a unix socket, or host and port."""


def parse_address(text: str) -> Address:
    """Read ``unix:/path``, ``host:port`` or ``[v6]:port``.

    Raises:
        ValueError: it is none of them.
    """
    if text.startswith("unix:/"):
        return text.removeprefix("unix:")
    host, _, port = text.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or not 0 < int(port[:6]) <= 65_535:
        raise ValueError(f"address {text!r}: not host:port, [v6]:port or unix:/path")
    return host.strip("[]"), int(port)


class Connection:
    """Made by ``connect``. After any exception it can only be closed."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, timeout_seconds: float) -> None:
        """Take a connection that is there."""
        self.options = Options()
        self._reader = reader
        self._writer = writer
        self._packets = PacketReader()
        self._timeout_seconds = timeout_seconds

    @classmethod
    async def connect(cls, address: Address, timeout_seconds: float) -> Self:
        """Connect, and agree on options.

        Raises:
            OSError, TimeoutError, MilterError: nobody is there, in time, who speaks the protocol.
        """
        async with asyncio.timeout(timeout_seconds):
            if isinstance(address, str):
                reader, writer = await asyncio.open_unix_connection(address)
            else:
                reader, writer = await asyncio.open_connection(*address)
            made = cls(reader, writer, timeout_seconds)
            try:
                await made._agree()
            except BaseException:
                made.abort()
                raise
        return made

    async def _agree(self) -> None:
        self._writer.write(packet(b"O", OFFER))
        letter, data = await self._read()
        if letter != b"O":
            raise MilterError(f"it answers options by {letter!r}")
        self.options = read_options(data)

    async def tell(self, commands: bytes) -> None:
        """Send what is not answered.

        Raises:
            OSError, TimeoutError: it can't be sent.
        """
        self._writer.write(commands)
        async with asyncio.timeout(self._timeout_seconds):
            await self._writer.drain()

    async def ask(self, command: bytes, on_change: Callable[[bytes, bytes], None] | None = None) -> tuple[bytes, bytes]:
        """Send a command and wait for its answer.

        Args:
            on_change: takes modifications that come before the answer; None takes none.

        Raises:
            OSError, TimeoutError, MilterError: there is none, in time.
        """
        if self._packets:
            raise MilterError("it talks without being asked")
        loop = asyncio.get_running_loop()
        end = loop.time() + HARD_FACTOR * self._timeout_seconds
        async with asyncio.timeout(self._timeout_seconds) as deadline:
            self._writer.write(command)
            await self._writer.drain()
            while True:
                letter, data = await self._read()
                if letter in FINAL:
                    return letter, data
                if letter != PROGRESS:
                    if on_change is None:
                        raise MilterError(f"it answers {letter!r} before the message ended")
                    on_change(letter, data)
                deadline.reschedule(min(loop.time() + self._timeout_seconds, end))

    async def _read(self) -> tuple[bytes, bytes]:
        while (found := self._packets.next_packet()) is None:
            data = await self._reader.read(_READ_BYTES)
            if not data:
                raise MilterError("it hung up")
            self._packets.feed(data)
        return found

    def close(self) -> None:
        """Say good-bye, and don't wait."""
        self._writer.write(packet(b"Q"))
        self._writer.close()

    def abort(self) -> None:
        """Hang up."""
        self._writer.transport.abort()
