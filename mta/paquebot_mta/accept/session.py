"""The session that the listener makes: lines are read, masked, reported and given to their commands."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

from paquebot_mta.accept import answers
from paquebot_mta.accept.auth import AuthSession
from paquebot_mta.mail.commands import AUTH_BYTES, COMMAND_BYTES, Command, parse_command
from paquebot_mta.mail.lines import LineError
from paquebot_mta.mail.parameters import CommandError
from paquebot_mta.telemetry.events import LimitHit, ProtocolClient

_HTTP: Final = frozenset({"GET", "POST", "PUT", "HEAD", "OPTIONS", "CONNECT", "DELETE", "PATCH", "TRACE", "HOST:"})
_LAST_IN_GROUP: Final = frozenset({"EHLO", "HELO", "LHLO", "DATA", "VRFY", "NOOP", "STARTTLS"})
"""What nothing may follow unasked (RFC 2920, 3.1; RFC 3207, 4); QUIT is not here: what follows it is dropped."""
_MASK: Final = "********"


class MtaSession(AuthSession):
    """One client's conversation."""

    _may_be_secret = False  # after AUTH, until a command: some clients go on with what was refused

    async def step(self) -> bool:
        """Work off one command, or one piece of content."""
        if self._content is not None:
            return await self.read_content()
        try:
            line = self._input.next_line(AUTH_BYTES)
            if line is None:
                return False
            self.end_command()
            await self._take(line)
        except LineError as error:
            self.end_command()
            self.continuation = None
            self.refuse(answers.LINE_TOO_LONG if error.fault == "too-long" else answers.BAD_LINE)
        except CommandError as error:
            self.refuse(error.reply)
        if not self.closing:
            self._check_patience()
        return True

    async def _take(self, line: bytes) -> None:
        if self.continuation is not None:
            self._may_be_secret = True
            self._report(_MASK)
            await self.take_response(line.decode("ascii", "replace"))
            return
        command = parse_command(line)
        if command.verb in _HTTP:  # a browser was made to talk to us
            self.close("error")
            return
        if command.verb in _LAST_IN_GROUP and len(self._input):
            self.say_goodbye(answers.OUT_OF_SYNC, "error")
            return
        self._report(self._masked(command, line))
        if len(line) > COMMAND_BYTES - 2 and command.verb != "AUTH":
            self.refuse(answers.LINE_TOO_LONG)
            return
        await self._run(command)

    async def _run(self, command: Command) -> None:
        method = COMMANDS.get(command.verb)
        if method is None:
            self.refuse(answers.UNKNOWN)
        else:
            await method(self, command.argument)

    def _masked(self, command: Command, line: bytes) -> str:
        """Hide credentials: those of AUTH, and what follows it and is no command."""
        if command.verb in COMMANDS:
            self._may_be_secret = command.verb == "AUTH"
        elif self._may_be_secret:
            return _MASK
        return _masked_auth(command.argument) if command.verb == "AUTH" else line.decode()

    def _report(self, line: str) -> None:
        self._emit(ProtocolClient(direction="in", session=self.session.id, endpoint=self._endpoint, command=line))

    def _check_patience(self) -> None:
        """End the session of a client that makes nothing but errors, or nothing at all."""
        limits = self.policy.limits
        if self.errors >= limits.errors or self.junk > limits.junk_commands:
            self._emit(LimitHit(direction="in", limit="errors", session=self.session.id))
            self.say_goodbye(answers.TOO_MANY_ERRORS, "limit")


def _masked_auth(argument: str) -> str:
    """Hide credentials of AUTH; the name in ``AUTH LOGIN name`` may be seen."""
    mechanism, _, initial = argument.partition(" ")
    if mechanism.upper() == "LOGIN":
        name, _, initial = initial.strip(" ").partition(" ")
        mechanism = f"{mechanism} {name}".rstrip(" ")
    return f"AUTH {mechanism} {_MASK}" if initial else f"AUTH {argument}"


COMMANDS: Final[dict[str, Callable[[Any, str], Awaitable[None]]]] = {
    name.removeprefix("smtp_"): getattr(MtaSession, name)
    for name in (
        "smtp_EHLO", "smtp_HELO", "smtp_LHLO", "smtp_MAIL", "smtp_RCPT", "smtp_DATA", "smtp_BDAT", "smtp_RSET",
        "smtp_NOOP", "smtp_VRFY", "smtp_HELP", "smtp_QUIT", "smtp_STARTTLS", "smtp_AUTH",
    )
}  # fmt: skip
