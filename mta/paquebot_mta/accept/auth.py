"""AUTH PLAIN and LOGIN (RFC 4954, 4616), over TLS only; secrets reach neither events nor logs."""

import base64
import binascii
from collections.abc import Awaitable, Callable
from typing import Final, Literal

from aiosmtpd.smtp import AuthResult

from paquebot_mta.accept import answers
from paquebot_mta.accept.data import DataSession
from paquebot_mta.accept.rates import client_of
from paquebot_mta.mail.parameters import CommandError
from paquebot_mta.mail.reply import Reply
from paquebot_mta.telemetry.events import LinkAuth

_LOGIN_NAME: Final = Reply(334, base64.b64encode(b"Username:").decode())
_LOGIN_PASSWORD: Final = Reply(334, base64.b64encode(b"Password:").decode())
_GO_AHEAD: Final = Reply(334, "")
_CREDENTIAL_BYTES: Final = 1_024

Continuation = Callable[[str], Awaitable[None]]


class _BadResponseError(ValueError):
    """The client's response is not what the mechanism wants."""


class AuthSession(DataSession):
    """Finds out which user it is."""

    continuation: Continuation | None = None  # who takes the next line, while a mechanism waits for one
    _failures = 0

    @property
    def takes_auth(self) -> bool:
        """Whether AUTH is offered now: never in the clear (RFC 4954, 4)."""
        return bool(self.session.tls_version) and self.policy.listener.auth.mode != "Off"

    async def smtp_AUTH(self, arg: str) -> None:  # noqa: N802 - aiosmtpd's spelling
        """Begin an exchange."""
        if not self.takes_auth:
            self.refuse(answers.NOT_SUPPORTED)
        elif not self.session.extended_smtp or self.session.user or self.envelope.draft is not None:
            self.refuse(answers.NOT_NOW)
        elif not self.within_rate("auth", self.policy.limits.rates.auths_per_minute):
            self.refuse(answers.TOO_FAST_AUTH)
        else:
            self.junk += 1
            await self._exchange(arg)

    async def _exchange(self, arg: str) -> None:
        steps: dict[str, tuple[Continuation, Reply]] = {
            "PLAIN": (self._take_plain, _GO_AHEAD),
            "LOGIN": (self._take_login, _LOGIN_NAME),
        }
        if arg.partition(" ")[0].upper() not in steps:
            self.refuse(answers.BAD_MECHANISM)
            return
        given = await self.screen("auth", arg)
        if given is None:
            return
        mechanism, _, initial = given.partition(" ")
        if mechanism.upper() not in steps:
            raise CommandError(answers.FILTER_FAULT)
        step, challenge = steps[mechanism.upper()]
        if initial:
            await self._respond(step, "" if initial == "=" else initial)
        else:
            self._challenge(step, challenge)

    def _challenge(self, step: Continuation, challenge: Reply) -> None:
        self.continuation = step
        self.reply(challenge)

    async def take_response(self, line: str) -> None:
        """Take the line that the mechanism waits for; ``*`` cancels (RFC 4954, 4)."""
        step, self.continuation = self.continuation, None
        if step is None or line == "*":
            self.refuse(answers.AUTH_CANCELLED)
        else:
            await self._respond(step, line)

    async def _respond(self, step: Continuation, response: str) -> None:
        try:
            await step(response)
        except (_BadResponseError, binascii.Error, UnicodeError):
            self.refuse(answers.SYNTAX)

    async def _take_plain(self, response: str) -> None:
        """``authorization-identity NUL name NUL password`` (RFC 4616, 2); only one's own identity may be asked for."""
        parts = _decode(response).split(b"\0")
        if len(parts) != 3 or (parts[0] and parts[0] != parts[1]):
            raise _BadResponseError("PLAIN wants identity, name and password")
        await self._check("PLAIN", parts[1], parts[2])

    async def _take_login(self, response: str) -> None:
        name = _decode(response)

        async def take_password(line: str) -> None:
            await self._check("LOGIN", name, _decode(line))

        self._challenge(take_password, _LOGIN_PASSWORD)

    async def _check(self, mechanism: str, login: bytes, password: bytes) -> None:
        if not login or not password or len(login) + len(password) > _CREDENTIAL_BYTES or b"\0" in login + password:
            raise _BadResponseError("name or password is empty or too long")
        name = login.decode()
        if not name.isprintable():
            raise _BadResponseError("name holds a control character")
        self.flush()
        result = await self.host.authenticator.authenticate(self.policy, login, password)
        self._conclude(mechanism, name, result)

    def _conclude(self, mechanism: str, name: str, result: AuthResult) -> None:
        outcome: Literal["pass", "fail", "error"] = "pass" if result.success else "error" if result.message else "fail"
        event = LinkAuth(
            direction="in",
            session=self.session.id,
            endpoint=self._endpoint,
            result=outcome,
            username=name,
            mechanism=mechanism,
        )
        self._emit(event)
        if result.success:
            self.session.user, self.session.authenticated = name, True
            self.session.auth_data = result.auth_data
            if self.screening is not None:
                self.screening.know(self.session)
            self.reply(answers.AUTHENTICATED)
        elif result.message:
            self.refuse(answers.AUTH_FAULT)
        else:
            self._count_failure()

    def _count_failure(self) -> None:
        """End the session after some failures, and those of a client after some more in all of its sessions."""
        self._failures += 1
        limits, client = self.policy.limits, client_of(self.session.client_address)
        self.host.rates.add("auth-failure", client)
        guessing = self.host.rates.reached("auth-failure", client, limits.rates.auth_failures_per_minute)
        if self._failures >= limits.auth_failures or guessing:
            self.say_goodbye(answers.TOO_MANY_FAILURES, "limit")
        else:
            self.refuse(answers.BAD_CREDENTIALS)


def _decode(response: str) -> bytes:
    """Read strict base64; raises binascii.Error."""
    return base64.b64decode(response.encode("ascii"), validate=True)
