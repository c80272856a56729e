"""What a session needs of the server around it; the listener implements it, tests may too."""

from collections.abc import Awaitable, Callable
from typing import Any, Literal, Protocol

from aiosmtpd.smtp import AuthResult

from paquebot_mta.accept.policy import ListenerPolicy
from paquebot_mta.accept.rates import RateCounter
from paquebot_mta.mail.ids import RandomBits
from paquebot_mta.mail.reply import Reply
from paquebot_mta.telemetry.bus import Emit

LookupName = Callable[[str], Awaitable[tuple[str, Literal["pass", "fail", "error"]]]]
"""Gives the reverse name of an address, and how its check ended (``fcrdns``): verified is only what passed."""
Hook = Callable[..., Awaitable[object]]
"""A coroutine method ``handle_<NAME>(server, session, envelope, ...)`` of a handler, as aiosmtpd calls it."""


class Sweepable(Protocol):
    """A session, as the server around it sees it."""

    deadline: float

    def hurry(self, until: float) -> None:
        """Wait for the client until then at most (loop time)."""

    def expire(self, now: float) -> None:
        """Its deadline passed (loop time)."""

    def wind_down(self) -> None:
        """Say goodbye as soon as no transaction is open."""

    def abandon(self) -> None:
        """End at once, but let a commit finish."""


class Authenticator(Protocol):
    """Checks a name and a password without blocking the event loop."""

    async def authenticate(self, policy: ListenerPolicy, login: bytes, password: bytes) -> AuthResult:
        """Judge; a fault of the table is ``message`` 454. Failures are delayed."""


class Host(Protocol):
    """The server around a session.

    Attributes:
        hooks: the handler's hooks by name, without ``handle_``.
        rates: how often clients did what.
        draining: no new transactions are taken.
        stressed: clients are waited for a short time only.
        clock: seconds since 1970.
    """

    emit: Emit
    handler: Any
    hooks: dict[str, Hook]
    clock: Callable[[], float]
    randbits: RandomBits
    lookup_name: LookupName | None
    authenticator: Authenticator
    rates: RateCounter
    draining: bool
    stressed: bool

    def policy_of(self, listener: str) -> ListenerPolicy | None:
        """The policy of a listener now, None if it is gone."""

    def admit(self, session: Sweepable, client_address: str) -> Reply | None:
        """Count a session in, or give the reply that refuses it."""

    def leave(self, session: Sweepable, client_address: str) -> None:
        """Count a session out; harmless if it was refused."""
