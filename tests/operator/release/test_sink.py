"""The far end of a trial speaks LMTP as a mail server expects it (RFC 2033)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from paquebot_operator.release import sink as module
from paquebot_operator.release.sink import Sink

HELLO = ("LHLO here", "MAIL FROM:<a@example.test>")


class Client:
    """One session, line by line."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def reply(self) -> str:
        """Return the last line of a reply."""
        while True:
            line = (await self.reader.readline()).decode()
            if line[3:4] != "-":
                return line.strip()

    async def say(self, *lines: str) -> str:
        """Send commands and return the reply to the last."""
        answer = ""
        for line in lines:
            self.writer.write(f"{line}\r\n".encode())
            answer = await self.reply()
        return answer


@asynccontextmanager
async def session() -> AsyncIterator[tuple[Sink, Client]]:
    async with Sink("127.0.0.1", 0) as sink:
        reader, writer = await asyncio.open_connection("127.0.0.1", sink.port)
        client = Client(reader, writer)
        assert (await client.reply()).startswith("220")
        yield sink, client
        writer.close()


async def test_each_recipient_gets_a_reply_of_its_own() -> None:
    async with session() as (sink, client):
        assert await client.say(*HELLO, "RCPT TO:<b@example.test>", "RCPT TO:<c@example.test> NOTIFY=NEVER")
        assert (await client.say("DATA")).startswith("354")
        client.writer.write(b"Subject: x\r\n\r\n..dots\r\n.\r\n")
        assert [(await client.reply())[:3] for _ in range(2)] == ["250", "250"]
        received = await sink.messages.get()
    assert received.recipients == ("b@example.test", "c@example.test")
    assert received.content == b"Subject: x\r\n\r\n.dots\r\n"


async def test_a_reset_forgets_recipients() -> None:
    async with session() as (sink, client):
        await client.say(*HELLO, "RCPT TO:<b@example.test>", "RSET", "MAIL FROM:<>", "RCPT TO:<c@example.test>", "DATA")
        client.writer.write(b"x\r\n.\r\n")
        await client.reply()
        assert (await sink.messages.get()).recipients == ("c@example.test",)


async def test_unknown_commands_are_refused_and_quit_ends_the_session() -> None:
    async with session() as (_, client):
        assert (await client.say("EXPN all")).startswith("500")
        assert (await client.say("QUIT")).startswith("221")
        assert await client.reader.read() == b""


async def test_content_beyond_the_limit_ends_the_session(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_CONTENT_BYTES", 100)
    async with session() as (sink, client):
        await client.say(*HELLO, "RCPT TO:<b@example.test>", "DATA")
        client.writer.write(b"x" * 90 + b"\r\n" + b"x" * 90 + b"\r\n.\r\n")
        assert await client.reader.read() == b""
        assert sink.messages.empty()
