"""An LMTP server that keeps what it is given (RFC 2033): the far end of a trial, never a mail store."""

import asyncio
from dataclasses import dataclass
from typing import Final, Self

MAX_CONTENT_BYTES: Final = 1_000_000
COMMAND_SECONDS: Final = 60.0


@dataclass(frozen=True)
class Received:
    """A message as it came in.

    Attributes:
        recipients: what RCPT named, without brackets and parameters.
        content: without the final dot, dots unstuffed (RFC 5321, 4.5.2).
    """

    recipients: tuple[str, ...]
    content: bytes


class Sink:
    """Listens as long as the context lasts."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._server: asyncio.Server | None = None
        self._sessions: set[asyncio.StreamWriter] = set()
        self.messages: asyncio.Queue[Received] = asyncio.Queue()

    @property
    def port(self) -> int:
        """The port that is listened on."""
        assert self._server is not None
        found: int = self._server.sockets[0].getsockname()[1]
        return found

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, self._host, self._port)
        return self

    async def __aexit__(self, *error: object) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._sessions:
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._sessions.add(writer)
        try:
            await _Session(reader, writer, self.messages).run()
        except (TimeoutError, OSError, ValueError, EOFError):
            pass  # a client that went away, or talks beyond the limits: the trial waits for another
        finally:
            self._sessions.discard(writer)
            writer.close()


class _Session:
    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, messages: asyncio.Queue[Received]
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._messages = messages
        self._recipients: list[str] = []

    async def run(self) -> None:
        await self._reply("220 paquebot-test.invalid LMTP")
        while line := await self._line():
            verb, _, argument = line.rstrip(b"\r\n").decode("utf-8", "replace").partition(" ")
            if verb.upper() == "QUIT":
                await self._reply("221 2.0.0 Bye")
                return
            await self._answer(verb.upper(), argument)

    async def _answer(self, verb: str, argument: str) -> None:
        if verb == "LHLO":
            await self._reply("250-paquebot-test.invalid", "250-8BITMIME", "250 ENHANCEDSTATUSCODES")
        elif verb == "RCPT":
            self._recipients.append(argument.partition("<")[2].rpartition(">")[0])
            await self._reply("250 2.1.5 Ok")
        elif verb == "DATA":
            await self._data()
        elif verb in ("MAIL", "RSET", "NOOP"):
            self._recipients = [] if verb != "NOOP" else self._recipients
            await self._reply("250 2.0.0 Ok")
        else:
            await self._reply("500 5.5.1 Unknown command")

    async def _data(self) -> None:
        await self._reply("354 Go on")
        content = bytearray()
        while (line := await self._line()) != b".\r\n":
            content += line.removeprefix(b".")
            if not line or len(content) > MAX_CONTENT_BYTES:
                raise EOFError
        # One reply for each recipient (RFC 2033, 4.2).
        await self._reply(*["250 2.0.0 Kept"] * len(self._recipients))
        self._messages.put_nowait(Received(tuple(self._recipients), bytes(content)))
        self._recipients = []

    async def _line(self) -> bytes:
        async with asyncio.timeout(COMMAND_SECONDS):
            return await self._reader.readline()

    async def _reply(self, *lines: str) -> None:
        self._writer.write("".join(f"{line}\r\n" for line in lines).encode())
        async with asyncio.timeout(COMMAND_SECONDS):
            await self._writer.drain()
