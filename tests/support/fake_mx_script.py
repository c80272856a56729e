"""What a scripted SMTP or LMTP server answers, and what it saw. Values only; `fake_mx` speaks the protocol."""

from __future__ import annotations

import enum
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


class Then(enum.Enum):
    """What the server does after an answer."""

    GO_ON = "go on with the session"
    CLOSE = "close the connection in order"
    RESET = "reset the connection"
    STALL = "neither read nor write, but keep the connection"


@dataclass(frozen=True)
class Answer:
    """One answer: its text without the last CRLF (None for no answer), the delay before it, and what comes then.

    `after_bytes` is for the phase `BODY` only: how much content is read before it happens.
    """

    text: str | None
    then: Then = Then.GO_ON
    delay_seconds: float = 0.0
    after_bytes: int = 0


DROP = Answer(None, Then.CLOSE)
RESET = Answer(None, Then.RESET)
STALL = Answer(None, Then.STALL)

Step = str | Answer
Steps = Step | Sequence[Step]

EXTENSIONS = ("PIPELINING", "SIZE 10485760", "8BITMIME", "SMTPUTF8", "DSN", "CHUNKING", "ENHANCEDSTATUSCODES")


@dataclass(frozen=True)
class Script:
    """The behaviour of a server.

    `replies` maps a phase to its answer, or to a list of answers of which each is given once and the last one for ever.
    Phases are `CONNECT` (before the banner, says nothing by default), `BANNER`, `EHLO`, `HELO`, `LHLO`, `STARTTLS`,
    `AUTH`, `MAIL`, `RCPT`, `DATA`, `BODY` (within the content, nothing by default), `DOT` (after the content), `BDAT`,
    `RSET`, `NOOP`, `VRFY`, `QUIT`. A phase with an address is stronger: `MAIL a@example.test`, `RCPT b@example.test`,
    and in LMTP `DOT b@example.test`. A phase that isn't named gets the usual good answer.
    """

    replies: Mapping[str, Steps] = field(default_factory=dict)
    hostname: str = "mx.test"
    extensions: tuple[str, ...] = EXTENSIONS
    tls: ssl.SSLContext | None = None
    is_lmtp: bool = False


@dataclass(frozen=True)
class PathArgument:
    """A reverse-path or forward-path as the client wrote it, without <>, and its ESMTP parameters in order."""

    address: str
    parameters: tuple[str, ...] = ()


@dataclass(frozen=True)
class Transaction:
    """A message whose content arrived whole, whatever was answered then.

    `content` is without dot stuffing and without the final dot; `replies` are the answers to the end of the content:
    one in SMTP, one a recipient in LMTP, none when the connection was broken instead. `recipients` are the accepted
    ones.
    """

    session: int
    helo: str
    is_tls: bool
    sender: PathArgument
    recipients: tuple[PathArgument, ...]
    content: bytes
    replies: tuple[str, ...]

    @property
    def addresses(self) -> tuple[str, ...]:
        """The addresses of the accepted recipients, in order."""
        return tuple(recipient.address for recipient in self.recipients)


@dataclass
class SessionRecord:
    """What one connection did, while it goes on: every command line, every reply, and what a client may not do."""

    number: int
    commands: list[str] = field(default_factory=list)
    replies: list[str] = field(default_factory=list)
    helo: str = ""
    is_tls: bool = False
    is_open: bool = True
    has_pipelined: bool = False
    bytes_after_starttls: int = 0
    violations: list[str] = field(default_factory=list)

    def verbs(self) -> list[str]:
        """Return the command verbs in order."""
        return [command.split(" ", 1)[0].upper() for command in self.commands]
