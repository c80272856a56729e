"""A raw client for SMTP dialogs: it sends any bytes and says exactly what it expects.

Synchronous; where the server runs in the same event loop, call it through `asyncio.to_thread`. Every wait has a bound,
every failure shows the dialog so far. `dialogs` runs whole dialogs from text files.
"""

from __future__ import annotations

import re
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from .processes import LOOPBACK

_READ_BYTES = 65536


class DialogError(AssertionError):
    """The server didn't do what was expected; the message holds the dialog so far."""


@dataclass(frozen=True)
class RawReply:
    """A reply of one or several lines as they came, without CRLF."""

    lines: tuple[str, ...]

    @property
    def code(self) -> str:
        """The three digits of the last line."""
        return self.lines[-1][:3]

    @property
    def last(self) -> str:
        """The last line, `250 2.0.0 ok`."""
        return self.lines[-1]

    @property
    def texts(self) -> tuple[str, ...]:
        """Each line without code and separator: EHLO keywords, say."""
        return tuple(line[4:] for line in self.lines)


class SmtpClient:
    """A connection to a port of loopback or of `host`, or to a unix socket; closed at the end of its block.

    `source` is the address that it comes from, empty for the system's choice.
    """

    def __init__(
        self, target: int | Path, *, host: str = LOOPBACK, source: str = "", timeout_seconds: float = 10.0
    ) -> None:
        self.transcript: list[str] = []
        self._timeout_seconds = timeout_seconds
        self._buffer = bytearray()
        self._socket: socket.socket = socket.socket(socket.AF_UNIX if isinstance(target, Path) else socket.AF_INET)
        self._socket.settimeout(timeout_seconds)
        try:
            if source:
                self._socket.bind((source, 0))
            self._socket.connect(str(target) if isinstance(target, Path) else (host, target))
        except OSError:
            self._socket.close()
            raise

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.transcript.append(f"C: {data!r}")
        try:
            self._socket.sendall(data)
        except (ConnectionError, TimeoutError) as error:
            raise self._failed(f"sending failed: {error!r}") from error

    def line(self, text: str) -> None:
        """Send a line of text and CRLF."""
        self.send(text.encode() + b"\r\n")

    def reply(self) -> RawReply:
        """Read one whole reply (RFC 5321, 4.2.1). Raises `DialogError` when none comes or it isn't one."""
        lines: list[str] = []
        while not lines or lines[-1][3:4] == "-":
            lines.append(self._read_line())
            if re.fullmatch(r"[2-5][0-9]{2}(?:[ -].*)?", lines[-1], re.DOTALL) is None:
                raise self._failed(f"this is no reply line: {lines[-1]!r}")
        if len({line[:3] for line in lines}) != 1:
            raise self._failed("the lines of one reply have different codes")
        return RawReply(tuple(lines))

    def expect(self, prefix: str) -> RawReply:
        """Read a reply whose last line starts with `prefix`, such as `250` or `550 5.1.1`."""
        reply = self.reply()
        if not reply.last.startswith(prefix):
            raise self._failed(f"expected {prefix!r}")
        return reply

    def command(self, text: str, prefix: str) -> RawReply:
        """Send a line and expect a reply."""
        self.line(text)
        return self.expect(prefix)

    def start_tls(self, context: ssl.SSLContext | None = None, server_name: str | None = None) -> None:
        """Do the handshake (after STARTTLS and its 220); without a context any certificate is good."""
        try:
            self._socket = (context or _trusting_context()).wrap_socket(self._socket, server_hostname=server_name)
        except OSError as error:
            raise self._failed(f"the TLS handshake failed: {error!r}") from error
        self.transcript.append("=== TLS")

    @property
    def certificate(self) -> bytes:
        """The server's certificate (DER), after the handshake."""
        found = self._socket.getpeercert(binary_form=True) if isinstance(self._socket, ssl.SSLSocket) else None
        if found is None:
            raise self._failed("the server has shown no certificate")
        return found

    def expect_end(self) -> None:
        """Expect that the server closes the connection without saying anything more."""
        try:
            data = bytes(self._buffer) or self._socket.recv(_READ_BYTES)
        except ConnectionResetError:
            data = b""
        except TimeoutError as error:
            raise self._failed("the server keeps the connection open") from error
        if data:
            raise self._failed(f"expected the end of the connection, got {data!r}")
        self.transcript.append("=== closed by the server")

    def expect_silence(self, seconds: float) -> None:
        """Expect that the server says nothing for this long and keeps the connection."""
        self._socket.settimeout(seconds)
        try:
            data = bytes(self._buffer) or self._socket.recv(_READ_BYTES)
        except TimeoutError:
            return
        finally:
            self._socket.settimeout(self._timeout_seconds)
        raise self._failed(f"expected silence, got {data!r}")

    def close(self) -> None:
        """Close the connection without QUIT."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _read_line(self) -> str:
        while (end := self._buffer.find(b"\r\n")) < 0:
            self._fill()
        line = self._buffer[:end].decode("utf-8", "surrogateescape")
        del self._buffer[: end + 2]
        self.transcript.append(f"S: {line}")
        return line

    def _fill(self) -> None:
        try:
            data = self._socket.recv(_READ_BYTES)
        except (ConnectionError, TimeoutError) as error:
            raise self._failed(f"no reply came: {error!r}") from error
        if not data:
            raise self._failed(f"the server closed the connection after {bytes(self._buffer)!r}")
        self._buffer += data

    def _failed(self, reason: str) -> DialogError:
        return DialogError(reason + "; the dialog was:\n" + "\n".join(self.transcript[-60:]))


def _trusting_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
