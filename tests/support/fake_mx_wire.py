"""The bytes of a scripted server's connection: lines, counted content, dotted content, TLS. Knows no replies."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct

_READ_BYTES = 65536


class Wire:
    """Reads through an own buffer, so that it can tell what the client sent before it was asked to."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._buffer = bytearray()

    @property
    def pending(self) -> int:
        """How many bytes have come beyond what was read."""
        return len(self._buffer)

    async def send(self, data: bytes) -> None:
        """Write, and wait until the transport wants more."""
        self._writer.write(data)
        await self._writer.drain()

    def reset(self) -> None:
        """Make the closing of the connection a reset (SO_LINGER with no time)."""
        sock = self._writer.get_extra_info("socket")
        if sock is not None and sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    async def start_tls(self, context: ssl.SSLContext) -> None:
        """Do the handshake as server; what the client sent before it is dropped (RFC 3207, 6)."""
        self._buffer.clear()
        await self._writer.start_tls(context)

    async def line(self) -> bytes:
        """Read a line without its CRLF (or LF). Raises EOFError at the end of the connection."""
        end = await self._find(b"\n")
        return self._take(end + 1).rstrip(b"\r\n")

    async def exactly(self, count: int) -> bytes:
        """Read `count` bytes."""
        await self.at_least(count)
        return self._take(count)

    async def at_least(self, count: int) -> None:
        """Wait until `count` bytes are pending."""
        while len(self._buffer) < count:
            await self._fill()

    async def dotted_content(self) -> bytes:
        """Read content up to CRLF.CRLF and undo the dot stuffing (RFC 5321, 4.5.2)."""
        await self.at_least(3)
        if self._buffer.startswith(b".\r\n"):
            return self._take(3)[3:]
        content = self._take(await self._find(b"\r\n.\r\n") + 5)[:-3]
        return (b"\r\n" + content).replace(b"\r\n.", b"\r\n")[2:]

    async def _find(self, mark: bytes) -> int:
        start = 0
        while (found := self._buffer.find(mark, start)) < 0:
            start = max(0, len(self._buffer) - len(mark))
            await self._fill()
        return found

    async def _fill(self) -> None:
        data = await self._reader.read(_READ_BYTES)
        if not data:
            raise EOFError("the client closed the connection")
        self._buffer += data

    def _take(self, count: int) -> bytes:
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken
