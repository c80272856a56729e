"""A server on loopback with an in-memory spool that records, a scripted expander, and a client that speaks bytes."""

import asyncio
import random
import socket
import ssl
import struct
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

from msgspec.structs import replace

from paquebot_mta.accept.host import LookupName
from paquebot_mta.accept.listener import Acceptor
from paquebot_mta.accept.policy import AcceptPolicy, build_policy
from paquebot_mta.config.listeners import Listener
from paquebot_mta.config.service import Certificate, Limits, MtaConfig, ServiceShard
from paquebot_mta.config.tables import Service
from paquebot_mta.expand.results import Accepted, Facts, Refused, Target
from paquebot_mta.filter.running import Screen
from paquebot_mta.mail.address import Address
from paquebot_mta.mail.envelope import Message
from paquebot_mta.mail.ids import Msgid, new_msgid
from paquebot_mta.mail.reply import Reply
from paquebot_mta.spool.store import SpoolError
from paquebot_mta.table.lookup import Table, TableError
from paquebot_mta.telemetry.events import Event, Report


class Screens(Protocol):
    """Makes the filters of listeners; what they emit goes where the server's events go."""

    events: list[Event]

    def __call__(self, config: MtaConfig) -> Mapping[str, Screen]: ...


class RecordingDraft:
    def __init__(self, spool: "RecordingSpool", msgid: Msgid) -> None:
        self.msgid = msgid
        self.chunks: list[bytes] = []
        self.aborted = False
        self._spool = spool

    @property
    def size(self) -> int:
        return sum(map(len, self.chunks))

    def write(self, chunk: bytes) -> None:
        assert not self.aborted
        self.chunks.append(chunk)

    async def drain(self) -> None:
        if self._spool.drain_fault is not None:
            raise self._spool.drain_fault

    async def commit(self, message: Message, *, together: bool = False) -> None:
        self._spool.committing.set()
        await self._spool.may_commit.wait()
        if self._spool.commit_fault is not None:
            raise self._spool.commit_fault
        assert (message.msgid, message.size) == (self.msgid, self.size)
        self._spool.stored[message.msgid] = (message, b"".join(self.chunks))

    def abort(self) -> None:
        self.aborted = True


class RecordingSpool:
    """Enough of a spool to accept mail; faults can be scripted."""

    def __init__(self) -> None:
        self.stored: dict[Msgid, tuple[Message, bytes]] = {}
        self.drafts: list[RecordingDraft] = []
        self.create_fault: SpoolError | None = None
        self.drain_fault: SpoolError | None = None
        self.commit_fault: Exception | None = None
        self.committing = asyncio.Event()
        self.may_commit = asyncio.Event()
        self.may_commit.set()
        self._random = random.Random(7)

    def create(self, *, size_hint: int = 0) -> RecordingDraft:
        if self.create_fault is not None:
            raise self.create_fault
        self.drafts.append(RecordingDraft(self, new_msgid(self._random.getrandbits)))
        return self.drafts[-1]

    async def confirm(self, msgids: Sequence[Msgid]) -> None:
        assert self.stored.keys() >= set(msgids)

    def contents(self) -> list[bytes]:
        """Give what was stored, without the trace field."""
        return [after_trace(content) for _, content in self.stored.values()]

    def messages(self) -> list[Message]:
        return [message for message, _ in self.stored.values()]


def after_trace(content: bytes) -> bytes:
    """Cut our own Received field off: the line and the folded ones behind it."""
    lines = content.split(b"\r\n")
    assert lines[0].startswith(b"Received: ")
    end = next(number for number, line in enumerate(lines[1:], 1) if not line.startswith(b"\t"))
    return b"\r\n".join(lines[end:])


class Rules:
    """Accepts ``@example.test``; ``list`` has two targets, ``nobody`` is refused, other domains are relaying."""

    def __init__(self) -> None:
        self.asked: list[tuple[Facts, Address | None, Address]] = []

    async def expand(self, facts: Facts, reverse_path: Address | None, recipient: Address) -> Accepted | Refused:
        self.asked.append((facts, reverse_path, recipient))
        if recipient.local_part == "crash":
            raise RuntimeError("secret detail")
        if recipient.local_part == "nobody":
            return Refused(Reply(550, f"Invalid recipient: <{recipient}>", ""), "unknown_user")
        if recipient.domain not in {"example.test", "mx.example.test"} and not facts.user:
            return Refused(Reply(550, f"Invalid recipient: <{recipient}>", "5.7.1"), "relay_denied")
        users = ("alice", "bob") if recipient.local_part == "list" else (recipient.local_part.lower(),)
        return Accepted(tuple(Target(f"{user}@example.test", "local", user) for user in users), "rule")


class DictTable:
    """A table out of a dict; ``None`` is a back end that is down."""

    def __init__(self, entries: dict[str, str] | None) -> None:
        self._entries = entries

    async def check(self, service: Service, key: str) -> bool:
        return await self.lookup(service, key) is not None

    async def lookup(self, service: Service, key: str) -> str | None:
        if self._entries is None:
            raise TableError("down")
        return self._entries.get(key)

    async def fetch(self, service: Service) -> Sequence[str]:
        return tuple(self._entries or ())


class Client:
    """Speaks bytes, reads replies."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def reply(self) -> str:
        """Read one reply, its lines joined by ``\\n``; empty when the connection was closed."""
        lines = []
        while True:
            line = (await asyncio.wait_for(self.reader.readline(), 5)).decode()
            if line:
                assert line.endswith("\r\n")
                lines.append(line[:-2])
            if not line or line[3:4] != "-":
                return "\n".join(lines)

    async def send(self, data: bytes | str) -> None:
        self.writer.write(data if isinstance(data, bytes) else data.encode())
        await self.writer.drain()

    async def ask(self, line: bytes | str) -> str:
        await self.send((line if isinstance(line, bytes) else line.encode()) + b"\r\n")
        return await self.reply()

    async def codes(self, *lines: str) -> list[str]:
        return [(await self.ask(line))[:3] for line in lines]

    async def greet(self, name: str = "client.example") -> str:
        banner = await self.reply()
        assert banner.startswith("220 ")
        return await self.ask(f"EHLO {name}")

    async def start_tls(self, context: ssl.SSLContext) -> None:
        assert (await self.ask("STARTTLS")).startswith("220 2.0.0 ")
        await self.writer.start_tls(context, server_hostname="mx.example.test")

    async def envelope(self, *recipients: str) -> None:
        assert await self.ask("MAIL FROM:<joe@client.example>") == "250 2.0.0 Ok"
        for recipient in recipients or ("alice@example.test",):
            assert (await self.ask(f"RCPT TO:<{recipient}>")).startswith("250 ")

    async def data(self, content: bytes) -> str:
        assert (await self.ask("DATA")).startswith("354 ")
        await self.send(content)
        return await self.reply()

    async def data_of_lines(self, size: int) -> str:
        """Send a transaction with that much content, in lines of a usual length."""
        await self.ask("RSET")
        await self.envelope()
        return await self.data(b"a: b\r\n\r\n" + (b"x" * 70 + b"\r\n") * (size // 72) + b".\r\n")

    async def closed(self) -> bool:
        """Whether the server closes; anything it still says is an error. What it never read makes that a reset."""
        with suppress(ConnectionResetError):
            return await asyncio.wait_for(self.reader.read(), 5) == b""
        return True

    async def close(self) -> None:
        self.writer.close()

    def reset(self) -> None:
        """Break the connection off with RST instead of FIN."""
        connection = self.writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


@dataclass
class Served:
    """A running server and all that it did."""

    acceptor: Acceptor
    spool: RecordingSpool
    rules: Rules
    events: list[Event] = field(default_factory=list)
    accepted: list[Message] = field(default_factory=list)
    clients: list[Client] = field(default_factory=list)

    async def connect(self, listener: str = "mx", tls: ssl.SSLContext | None = None) -> Client:
        where = self.acceptor.addresses()[listener]
        if where.startswith("unix:"):
            streams = await asyncio.open_unix_connection(where.removeprefix("unix:"))
        else:
            host, _, port = where.rpartition(":")
            name = "mx.example.test" if tls else None
            streams = await asyncio.open_connection(host.strip("[]"), int(port), ssl=tls, server_hostname=name)
        self.clients.append(Client(*streams))
        return self.clients[-1]

    async def greeted(self, listener: str = "mx") -> Client:
        client = await self.connect(listener)
        await client.greet()
        return client

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something is so, at most five seconds."""
        end = time.monotonic() + 5
        while not condition():
            assert time.monotonic() < end, "it never happened"
            await asyncio.sleep(0.005)

    async def finished(self) -> None:
        await self.until(lambda: self.acceptor.sessions == 0)

    async def reset_while_committing(self, content_and_more: bytes) -> None:
        """Send a message, the final dot included, and whatever follows it; be gone while it is committed."""
        self.spool.may_commit.clear()
        client = await self.greeted()
        await client.envelope()
        await client.ask("DATA")
        await client.send(content_and_more)
        await self.spool.committing.wait()
        client.reset()
        await asyncio.sleep(0.02)
        self.spool.may_commit.set()
        await self.finished()

    def reports(self) -> list[str]:
        """Give the report events as lines: name and fields."""
        return ["|".join((each.name, *each.fields())) for each in self.events if isinstance(each, Report)]

    def of(self, kind: type[Any]) -> list[Any]:
        return [each for each in self.events if isinstance(each, kind)]


def make_policy(
    rules: Rules,
    *listeners: Listener,
    limits: Limits | None = None,
    tables: Mapping[str, Table] | None = None,
    certificates: dict[str, Certificate] | None = None,
    screens: Screens | None = None,
) -> AcceptPolicy:
    service = ServiceShard(
        name="test/mail",
        hostname="mx.example.test",
        listeners=tuple(replace(each, address=_loopback(each.address)) for each in listeners)
        or (Listener(name="mx", address="127.0.0.1"),),
        limits=limits or Limits(),
        certificates=certificates or {},
    )
    config = MtaConfig(digest="0" * 64, generation=1, service=service, domains={}, tables={})
    if screens is None:
        return build_policy(config, tables or {}, rules)
    return build_policy(config, tables or {}, rules, screens(config))


def _loopback(address: str) -> str:
    return "127.0.0.1" if address == "0.0.0.0" else address


@asynccontextmanager
async def serve(
    *listeners: Listener,
    limits: Limits | None = None,
    tables: Mapping[str, Table] | None = None,
    certificates: dict[str, Certificate] | None = None,
    lookup_name: LookupName | None = None,
    screens: Screens | None = None,
) -> AsyncIterator[Served]:
    """Run a server until the block ends."""
    spool, rules = RecordingSpool(), Rules()
    events: list[Event] = screens.events if screens is not None else []
    accepted: list[Message] = []
    seeded = random.Random(1)
    acceptor = Acceptor(
        policy=make_policy(rules, *listeners, limits=limits, tables=tables, certificates=certificates, screens=screens),
        spool=spool,  # type: ignore[arg-type]  # the accepting half of it
        emit=events.append,
        on_accepted=accepted.append,
        clock=lambda: 1_700_000_000.0,
        randbits=lambda bits: 0 if bits == 16 else seeded.getrandbits(bits),
        lookup_name=lookup_name,
    )
    await acceptor.start()
    served = Served(acceptor, spool, rules, events, accepted)
    try:
        yield served
    finally:
        for client in served.clients:
            await client.close()
        spool.may_commit.set()
        await acceptor.close()
