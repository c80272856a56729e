"""Where a private MTA sends the mail of a domain. A value; each peer's harness makes its own configuration of it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Hop:
    """A port of localhost: without TLS or with TLS and a verified certificate, the latter also with AUTH by `login`."""

    port: int
    is_tls: bool = False
    login: Login | None = None


@dataclass(frozen=True)
class Login:
    """A user name and a password, of a peer's client or of the only user that its server knows."""

    user: str
    password: str
