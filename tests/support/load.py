"""A load client that knows for each message whether it was acknowledged: the witness of crash tests.

Each message has a token of its own in header and body. Plain asyncio and the simplest SMTP; shares nothing with the
code under test.
"""

from __future__ import annotations

import asyncio
import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from .processes import LOOPBACK

BODY_END = b"end of body\r\n"


@dataclass(frozen=True)
class Load:
    """So many messages by so many sessions in parallel, each of about `length_bytes`, tokens starting with `name`.

    With several `recipients` the messages take turns. A session ends when its connection breaks; it rests for
    `pause_seconds` before each message.
    """

    sessions: int = 20
    messages: int = 1_000
    length_bytes: int = 2_000
    recipients: tuple[str, ...] = ("alice@example.test",)
    name: str = "load"
    messages_per_connection: int = 10
    pause_seconds: float = 0.0


@dataclass
class Witness:
    """What the client saw: bodies' sha256 by token of all messages sent whole, and who was acknowledged.

    `unknown` were sent up to the final dot, but no reply came: they may have been taken or not.
    """

    sent: dict[str, str] = field(default_factory=dict)
    acked: dict[str, str] = field(default_factory=dict)
    unknown: set[str] = field(default_factory=set)
    recipients: dict[str, str] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)

    def join(self, other: Witness) -> None:
        """Add what another run saw."""
        self.sent |= other.sent
        self.acked |= other.acked
        self.unknown |= other.unknown
        self.recipients |= other.recipients
        self.refused += other.refused


def run_load(
    port: int,
    load: Load,
    *,
    after_acked: int = 0,
    then: Callable[[], object] | None = None,
    pause_seconds: float = 0.0,
    witness: Witness | None = None,
) -> Witness:
    """Send a load to its end, or until the server is gone.

    `then` is called in a thread once `after_acked` messages were acknowledged and `pause_seconds` more have passed;
    it may end the server. What is seen goes into `witness`, which other threads may look at.
    """
    witness = witness or Witness()
    disturber = threading.Thread(target=_disturb, args=(witness, after_acked, then, pause_seconds), daemon=True)
    disturber.start()
    asyncio.run(_Client(port, load, witness).run())
    disturber.join(60.0)
    return witness


def _disturb(witness: Witness, after_acked: int, then: Callable[[], object] | None, pause_seconds: float) -> None:
    if then is None:
        return
    deadline = time.monotonic() + 30.0
    while len(witness.acked) < after_acked and time.monotonic() < deadline:
        time.sleep(0.002)
    time.sleep(pause_seconds)
    then()


def body_of(token: str, length_bytes: int) -> bytes:
    """Return a message's body: lines that hold its token, some with leading dots."""
    line = f".{token} {hashlib.sha256(token.encode()).hexdigest()}\r\n".encode()
    return line * max(1, length_bytes // len(line)) + BODY_END


class _Client:
    def __init__(self, port: int, load: Load, witness: Witness) -> None:
        self._port = port
        self._load = load
        self._witness = witness
        self._numbers: Iterator[int] = iter(range(load.messages))

    async def run(self) -> None:
        await asyncio.gather(*(self._session() for _ in range(self._load.sessions)))

    async def _session(self) -> None:
        try:
            while await self._connection():
                pass
        except (OSError, EOFError):
            return

    async def _connection(self) -> bool:
        """Send some messages over one connection; tell whether there may be more."""
        reader, writer = await asyncio.open_connection(LOOPBACK, self._port)
        try:
            await _expect(reader, b"220")
            await _say(reader, writer, b"EHLO client.test\r\n", b"250")
            for _ in range(self._load.messages_per_connection):
                number = next(self._numbers, None)
                if number is None:
                    return False
                await asyncio.sleep(self._load.pause_seconds)
                await self._message(reader, writer, number)
            writer.write(b"QUIT\r\n")
            return True
        finally:
            writer.close()

    async def _message(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        load, witness = self._load, self._witness
        token = f"{load.name}-{number:06d}x"
        recipient = load.recipients[number % len(load.recipients)]
        await _say(reader, writer, b"MAIL FROM:<load@client.test>\r\n", b"250")
        await _say(reader, writer, f"RCPT TO:<{recipient}>\r\n".encode(), b"250")
        await _say(reader, writer, b"DATA\r\n", b"354")
        body = body_of(token, load.length_bytes)
        writer.write(b"Subject: %s\r\n\r\n%s.\r\n" % (token.encode(), _stuffed(body)))
        witness.sent[token] = digest(body)
        witness.recipients[token] = recipient
        witness.unknown.add(token)
        reply = await _reply(reader)
        witness.unknown.discard(token)
        if reply.startswith(b"250"):
            witness.acked[token] = witness.sent[token]
        else:
            witness.refused.append(reply.decode(errors="replace"))


def _stuffed(body: bytes) -> bytes:
    return (b"\r\n" + body).replace(b"\r\n.", b"\r\n..")[2:]


def digest(body: bytes) -> str:
    """Return the sha256 of a body, whatever its line ends are."""
    return hashlib.sha256(body.replace(b"\r\n", b"\n")).hexdigest()


async def _say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, line: bytes, code: bytes) -> None:
    writer.write(line)
    await _expect(reader, code)


async def _expect(reader: asyncio.StreamReader, code: bytes) -> None:
    """Read a reply; another code than this ends the session."""
    if not (await _reply(reader)).startswith(code):
        raise EOFError


async def _reply(reader: asyncio.StreamReader) -> bytes:
    """Read a reply's last line. Raises EOFError or OSError when the connection breaks."""
    async with asyncio.timeout(30.0):
        while True:
            line = await reader.readuntil(b"\r\n")
            if line[3:4] != b"-":
                return line
