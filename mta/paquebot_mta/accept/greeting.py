"""The commands that move no mail: EHLO, HELO, LHLO, NOOP, VRFY, HELP, QUIT (RFC 5321, 4.1.1; RFC 2033)."""

from typing import Literal, cast

from aiosmtpd.smtp import MISSING

from paquebot_mta.accept import answers
from paquebot_mta.accept.link import LinkSession
from paquebot_mta.filter.chain import GO_ON
from paquebot_mta.mail.commands import parse_host
from paquebot_mta.mail.reply import Reply
from paquebot_mta.telemetry.events import Attempt, LinkIdentify


class GreetingSession(LinkSession):
    """Says who is who."""

    async def smtp_EHLO(self, hostname: str) -> None:  # noqa: N802 - aiosmtpd's spelling
        """Identify the client and say what is offered."""
        await self._identify("EHLO", hostname, lmtp=False)

    async def smtp_HELO(self, hostname: str) -> None:  # noqa: N802 - aiosmtpd's spelling
        """Identify the client; nothing is offered."""
        await self._identify("HELO", hostname, lmtp=False)

    async def smtp_LHLO(self, hostname: str) -> None:  # noqa: N802 - aiosmtpd's spelling
        """Identify the client of LMTP."""
        await self._identify("LHLO", hostname, lmtp=True)

    async def _identify(self, method: str, argument: str, *, lmtp: bool) -> None:
        """Take the name; a transaction that was open is over (RFC 5321, 4.1.4)."""
        if lmtp is not self.policy.lmtp:
            self.refuse(answers.UNKNOWN)
            return
        hostname = parse_host(argument)
        self.junk += 1
        given = await self.screen("helo" if method == "HELO" else "ehlo", hostname)
        if given is None:
            return
        hostname = hostname if given == hostname else self.reread(parse_host, given)
        self.end_transaction(Attempt(direction="in", outcome="client_aborted"))
        refusal = await self._ask_hook(method, hostname)
        if refusal is not None:
            self.refuse(refusal)
            return
        self.session.host_name, self.session.method = hostname, method
        self.session.extended_smtp = method != "HELO"
        if self.screening is not None:
            self.screening.know(self.session)
        self._emit(
            LinkIdentify(
                direction="in",
                session=self.session.id,
                endpoint=self._endpoint,
                method=cast(Literal["HELO", "EHLO", "LHLO"], method),
                identity=hostname,
            )
        )
        self.reply(self._welcome(hostname))

    async def _ask_hook(self, method: str, hostname: str) -> Reply | None:
        """Let the handler refuse the name; the five-argument form of ``handle_EHLO`` gives the replies back."""
        arguments: tuple[object, ...] = (hostname,) if method == "HELO" else (hostname, [])
        status = await self.call("HELO" if method == "HELO" else "EHLO", *arguments)
        if status is MISSING or isinstance(status, list):
            return None
        reply = answers.answer_of(status).reply
        return None if reply.positive else reply

    def _welcome(self, hostname: str) -> Reply:
        hello = f"{self.hostname} Hello {hostname} [{self.session.client_address}], pleased to meet you"
        if not self.session.extended_smtp:
            return Reply(250, hello)
        secure = bool(self.session.tls_version)
        return Reply(250, "\n".join((hello, *(self.policy.secure_extensions if secure else self.policy.extensions))))

    async def smtp_NOOP(self, arg: str) -> None:  # noqa: N802 - aiosmtpd's spelling
        """Do nothing, up to a limit."""
        self.junk += 1
        if await self.screen("noop", arg) is None:
            return
        await self._answer("NOOP", answers.OK, arg)

    async def smtp_VRFY(self, arg: str) -> None:  # noqa: N802 - aiosmtpd's spelling
        """Tell nothing (RFC 5321, 7.3)."""
        self.junk += 1
        await self._answer("VRFY", answers.NOT_VERIFIED if arg else answers.SYNTAX, arg)

    async def smtp_HELP(self, arg: str) -> None:  # noqa: N802 - aiosmtpd's spelling
        """List the commands."""
        self.junk += 1
        self.reply(answers.HELP)

    async def smtp_QUIT(self, arg: str) -> None:  # noqa: N802 - aiosmtpd's spelling
        """Say goodbye; an open transaction is rolled back after the 221."""
        if arg:
            self.refuse(answers.SYNTAX)
            return
        if await self._may_part():
            await self._answer("QUIT", answers.GOODBYE)
        self.close("quit")

    async def _may_part(self) -> bool:
        """Ask the filters; the session ends whatever they say, so a filter that is out of order says nothing."""
        verdict = await self.screening.ask("quit") if self.screening is not None else GO_ON
        if verdict.refusal is None or verdict.failed:
            return True
        self.reply(verdict.refusal)
        return False

    async def _answer(self, hook: str, default: Reply, *arguments: str) -> None:
        status = await self.call(hook, *arguments)
        self.reply(default if status is MISSING or not default.positive else answers.answer_of(status).reply)
