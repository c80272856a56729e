"""A scripted SMTP or LMTP server that records what it gets: the next hop that lies, stalls and drops as asked.

`FakeMx` runs in the caller's event loop; `in_thread(FakeMx(...))` in one of its own. Own plain asyncio code, so that it
agrees with no mistake of the client under test. It is as lenient as its script; what a client may not do is noted in
`SessionRecord.violations`.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import Self

from .fake_mx_script import Answer, PathArgument, Script, SessionRecord, Then, Transaction
from .fake_mx_wire import Wire
from .processes import LOOPBACK, free_port

_GOOD = {
    "CONNECT": Answer(None),
    "BODY": Answer(None),
    "STARTTLS": Answer("220 2.0.0 go ahead"),
    "AUTH": Answer("235 2.7.0 authenticated"),
    "MAIL": Answer("250 2.1.0 sender ok"),
    "RCPT": Answer("250 2.1.5 recipient ok"),
    "DATA": Answer("354 go ahead"),
    "DOT": Answer("250 2.0.0 taken"),
    "BDAT": Answer("250 2.0.0 chunk taken"),
    "VRFY": Answer("252 2.0.0 will try"),
    "QUIT": Answer("221 2.0.0 bye", Then.CLOSE),
}


# A quoted local part may hold > and spaces (RFC 5321, 4.1.2).
_PATH = re.compile(r'<((?:"(?:\\.|[^"\\])*"|[^>"])*)>(.*)')


class FakeMx:
    """The server: listens on a port of loopback (`host`), or on `socket_path` too when it is given.

    `script` may be replaced at any time. `transactions` and `sessions` are in the order of arrival; `most_open` is the
    highest number of connections that were open at once.
    """

    def __init__(
        self, script: Script | None = None, *, port: int = 0, host: str = LOOPBACK, socket_path: Path | None = None
    ) -> None:
        self.script = script or Script()
        self.host = host
        self.port = port
        self.socket_path = socket_path
        self.transactions: list[Transaction] = []
        self.sessions: list[SessionRecord] = []
        self.most_open = 0
        self._used: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()
        self._arrived = asyncio.Event()

    @property
    def open_sessions(self) -> int:
        """Connections that are open now."""
        return sum(session.is_open for session in self.sessions)

    @property
    def contents(self) -> list[bytes]:
        """The contents of all transactions."""
        return [transaction.content for transaction in self.transactions]

    async def wait_for_transactions(self, count: int, timeout_seconds: float = 10.0) -> list[Transaction]:
        """Wait until `count` contents have arrived in all, and return all. Raises TimeoutError."""
        async with asyncio.timeout(timeout_seconds):
            while len(self.transactions) < count:
                self._arrived.clear()
                await self._arrived.wait()
        return list(self.transactions)

    def answer(self, phase: str, address: str = "") -> Answer:
        """Return the script's next answer for a phase, the one for the address first."""
        replies = self.script.replies
        key = f"{phase} {address}" if address and f"{phase} {address}" in replies else phase
        steps = replies.get(key, _GOOD.get(phase, Answer("250 2.0.0 ok")))
        if not isinstance(steps, str | Answer):
            steps = steps[min(self._used[key], len(steps) - 1)]
            self._used[key] += 1
        return Answer(steps) if isinstance(steps, str) else steps

    def record(self, transaction: Transaction) -> None:
        """Keep a transaction and wake whoever waits for it."""
        self.transactions.append(transaction)
        self._arrived.set()

    async def __aenter__(self) -> Self:
        self.port = self.port or free_port()
        self._servers = [await asyncio.start_server(self._serve, self.host, self.port, backlog=1024)]
        if self.socket_path is not None:
            self._servers.append(await asyncio.start_unix_server(self._serve, self.socket_path))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for server in self._servers:
            server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        record = SessionRecord(len(self.sessions))
        self.sessions.append(record)
        self.most_open = max(self.most_open, self.open_sessions)
        try:
            await _Session(self, Wire(reader, writer), record).run()
        except (ConnectionError, EOFError):
            pass
        finally:
            record.is_open = False
            writer.close()
            self._tasks.discard(task)


class _ClosedError(EOFError):
    """The script has ended the session."""


class _Session:
    def __init__(self, server: FakeMx, wire: Wire, record: SessionRecord) -> None:
        self._server = server
        self._wire = wire
        self._record = record
        self._forget()

    @property
    def _script(self) -> Script:
        return self._server.script

    def _forget(self) -> None:
        self._sender: PathArgument | None = None
        self._recipients: list[PathArgument] = []
        self._chunks: list[bytes] = []

    async def run(self) -> None:
        """Serve the connection until one side ends it."""
        protocol = "LMTP" if self._script.is_lmtp else "ESMTP"
        await self._say(self._server.answer("CONNECT"))
        banner = self._server.answer("BANNER")
        is_scripted = "BANNER" in self._script.replies
        await self._say(banner if is_scripted else Answer(f"220 {self._script.hostname} {protocol}"))
        while True:
            line = (await self._wire.line()).decode("utf-8", "surrogateescape")
            self._record.commands.append(line)
            self._note_pipelining()
            await self._command(line)

    def _note_pipelining(self) -> None:
        if self._wire.pending:
            self._record.has_pipelined = True
            if "PIPELINING" not in self._script.extensions:
                self._record.violations.append("commands in one flight, but PIPELINING was not offered")

    async def _say(self, answer: Answer) -> str:
        """Give an answer and do what follows it; return the text sent. Raises EOFError when it ends the session."""
        await asyncio.sleep(answer.delay_seconds)
        if answer.text is not None:
            self._record.replies.append(answer.text)
            await self._wire.send(answer.text.encode("utf-8", "surrogateescape") + b"\r\n")
        if answer.then is Then.STALL:
            await asyncio.Event().wait()
        if answer.then is Then.RESET:
            self._wire.reset()
        if answer.then is not Then.GO_ON:
            raise _ClosedError(answer.then.value)
        return answer.text or ""

    async def _command(self, line: str) -> None:
        verb, _, argument = line.partition(" ")
        verb = verb.upper()
        handlers = {"MAIL": self._mail, "RCPT": self._rcpt, "DATA": self._data, "BDAT": self._bdat}
        if verb in ("EHLO", "HELO", "LHLO"):
            await self._hello(verb, argument)
        elif verb == "STARTTLS":
            await self._starttls()
        elif verb in handlers:
            await handlers[verb](argument)
        else:
            if verb == "RSET":
                self._forget()
            await self._say(self._server.answer(verb))

    async def _hello(self, verb: str, argument: str) -> None:
        if (verb == "LHLO") != self._script.is_lmtp:
            self._record.violations.append(f"{verb} to the other protocol's server")
        self._forget()
        self._record.helo = argument
        offered = [self._script.hostname, *(self._script.extensions if verb != "HELO" else ())]
        if self._script.tls is not None and not self._record.is_tls and verb != "HELO":
            offered.append("STARTTLS")
        lines = [f"250-{word}" for word in offered[:-1]] + [f"250 {offered[-1]}"]
        scripted = verb in self._script.replies
        await self._say(self._server.answer(verb) if scripted else Answer("\r\n".join(lines)))

    async def _starttls(self) -> None:
        reply = await self._say(self._server.answer("STARTTLS"))
        if not reply.startswith("220") or self._script.tls is None:
            return
        self._record.bytes_after_starttls = self._wire.pending
        await self._wire.start_tls(self._script.tls)
        self._record.is_tls = True
        self._forget()

    async def _mail(self, argument: str) -> None:
        self._forget()
        path = _path(argument)
        if (await self._say(self._server.answer("MAIL", path.address))).startswith("2"):
            self._sender = path

    async def _rcpt(self, argument: str) -> None:
        path = _path(argument)
        if (await self._say(self._server.answer("RCPT", path.address))).startswith("2"):
            self._recipients.append(path)

    async def _data(self, _: str) -> None:
        if not self._recipients and "DATA" not in self._script.replies:
            await self._say(Answer("503 5.5.1 no valid recipients"))
        elif (await self._say(self._server.answer("DATA"))).startswith("3"):
            break_off = self._server.answer("BODY")
            if break_off != Answer(None):
                await self._wire.at_least(break_off.after_bytes)
                await self._say(break_off)
            await self._finish(await self._wire.dotted_content())

    async def _bdat(self, argument: str) -> None:
        """Take a chunk (RFC 3030, 2); the answer to the last one is that of the phase `DOT`."""
        size, _, last = argument.partition(" ")
        self._chunks.append(await self._wire.exactly(int(size)))
        if last.upper() == "LAST":
            await self._finish(b"".join(self._chunks))
        else:
            await self._say(self._server.answer("BDAT"))

    async def _finish(self, content: bytes) -> None:
        recipients = tuple(self._recipients)
        spoken: list[str] = []
        try:
            # LMTP answers once for each accepted recipient, in the order of the RCPT commands (RFC 2033, 4.2).
            for recipient in recipients if self._script.is_lmtp else (PathArgument(""),):
                spoken.append(await self._say(self._server.answer("DOT", recipient.address)))
        finally:
            record, sender = self._record, self._sender or PathArgument("")
            self._server.record(
                Transaction(record.number, record.helo, record.is_tls, sender, recipients, content, tuple(spoken))
            )
            self._forget()


def _path(argument: str) -> PathArgument:
    """Read `FROM:<a@b> SIZE=1` without judging the address."""
    found = _PATH.search(argument)
    return PathArgument(found[1], tuple(found[2].split())) if found else PathArgument(argument)
