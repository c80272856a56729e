"""The matrix: which peer, which direction, which feature; and what can't be, with its reason."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from tests.support.paquebot_config import ALICE

Direction = Literal["in", "out"]
Transport = Literal["plain", "tls", "auth"]

PEERS: Final = ("postfix", "exim", "opensmtpd")
TRANSPORTS: Final[tuple[Transport, ...]] = ("plain", "tls", "auth")
PROTOCOLS: Final = {"plain": "ESMTP", "tls": "ESMTPS", "auth": "ESMTPSA"}
"""What the Received field says of a transport (RFC 3848)."""

_NO_UTF8 = "OpenSMTPD knows no SMTPUTF8"
_NO_TLS_SERVER = "Debian 12 builds OpenSMTPD 6.8 with OpenSSL 3, where its server can't use its private key any more"
IMPOSSIBLE: Final[dict[tuple[str, Direction, str], str]] = {
    ("opensmtpd", "in", "smtputf8"): _NO_UTF8,
    ("opensmtpd", "out", "smtputf8"): _NO_UTF8,
    ("opensmtpd", "out", "starttls"): _NO_TLS_SERVER,
    ("opensmtpd", "out", "auth"): f"{_NO_TLS_SERVER}, and it offers AUTH over TLS only",
}
"""Of the last two, `test_opensmtpd_sealed` has all but the certificate."""


@dataclass(frozen=True)
class Feature:
    """What is special about a message: how its hop is reached, its envelope, its body (with CRLF)."""

    body: bytes = b"hello\r\n"
    transport: Transport = "plain"
    sender: str = "joe@client.test"
    mail_parameters: tuple[str, ...] = ()
    rcpt_parameters: tuple[str, ...] = ()
    seen_parameters: frozenset[str] = frozenset()
    """ESMTP parameters that must have reached the last hop."""


_LINES = 25 * 1024 * 1024 // 77
_BIG = b"".join(b".%07d " % number + b"z" * 66 + b"\r\n" for number in range(_LINES))
_DSN = ("RET=HDRS", "ENVID=QQ314159"), ("NOTIFY=SUCCESS,FAILURE", "ORCPT=rfc822;first+2Bone@far.test")

FEATURES: Final[dict[str, Feature]] = {
    "plain": Feature(),
    "starttls": Feature(transport="tls"),
    "auth": Feature(transport="auth", sender=ALICE),
    "smtputf8": Feature(
        "grüße\r\n".encode(),
        sender="jörg@client.test",
        mail_parameters=("SMTPUTF8", "BODY=8BITMIME"),
        seen_parameters=frozenset({"SMTPUTF8"}),
    ),
    "dsn": Feature(mail_parameters=_DSN[0], rcpt_parameters=_DSN[1], seen_parameters=frozenset(_DSN[0] + _DSN[1])),
    "8bit": Feature(b"caf\xc3\xa9 \xe9\xff\x80\r\n", mail_parameters=("BODY=8BITMIME",)),
    "998": Feature(b"x" * 998 + b"\r\n" + b"y" * 997 + b"\r\n" + b"." + b"z" * 997 + b"\r\n"),
    "dots": Feature(b".\r\n..\r\n.a\r\n...\r\n. \r\n\r\n.\r\n"),
    "25MiB": Feature(_BIG, mail_parameters=(f"SIZE={len(_BIG) + 1000}",)),
}


@dataclass(frozen=True)
class Cell:
    """One cell of the matrix. `in`: the peer sends to us; `out`: we send to the peer. Then it goes on to a sink."""

    peer: str
    direction: Direction
    feature_name: str

    def __str__(self) -> str:
        return f"{self.peer}-{self.direction}-{self.feature_name}"

    @property
    def feature(self) -> Feature:
        """What the message is like."""
        return FEATURES[self.feature_name]

    @property
    def recipient(self) -> str:
        """An address that only this cell has; its domain says by which hop and transport the mail goes."""
        user = "frédéric" if self.feature_name == "smtputf8" else "friend"
        return f"{user}.{self}@{domain(self.peer, self.direction, self.feature.transport)}"

    @property
    def content(self) -> bytes:
        """A whole message, with every field that a server might feel called upon to add."""
        subject = "grüße" if self.feature_name == "smtputf8" else "matrix"
        head = (
            f"From: {self.feature.sender}\r\nTo: {self.recipient}\r\nSubject: {subject} {self}\r\n"
            f"Date: Mon, 1 Jan 2024 00:00:00 +0000\r\nMessage-ID: <{self}@client.test>\r\n"
            "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
        )
        return head.encode() + self.feature.body


def domain(peer: str, direction: Direction, transport: str) -> str:
    """Return the domain whose mail goes to us by this transport, or to this peer."""
    return f"{transport}.{'in' if direction == 'in' else peer}.test"


def cells(*, impossible: bool = False) -> Iterator[Cell]:
    """Make all cells that are possible, or those that are not."""
    directions: tuple[Direction, ...] = ("in", "out")
    for peer, direction, name in itertools.product(PEERS, directions, FEATURES):
        if ((peer, direction, name) in IMPOSSIBLE) == impossible:
            yield Cell(peer, direction, name)
