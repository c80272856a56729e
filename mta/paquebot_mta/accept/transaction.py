"""MAIL, RCPT and RSET: a transaction begins, gains recipients, and ends with exactly one commit or rollback event."""

from functools import partial
from typing import Literal

from aiosmtpd.smtp import MISSING
from msgspec.structs import replace

from paquebot_mta.accept import answers
from paquebot_mta.accept.answers import Answer, answer_of
from paquebot_mta.accept.greeting import GreetingSession
from paquebot_mta.accept.parts import facts_about
from paquebot_mta.accept.rates import HOUR, Kind
from paquebot_mta.accept.screening import Screening
from paquebot_mta.filter.chain import GO_ON, Verdict
from paquebot_mta.filter.decisions import Junk, Rewrite
from paquebot_mta.mail.commands import Recipient, parse_mail, parse_recipient
from paquebot_mta.mail.parameters import CommandError
from paquebot_mta.mail.reply import Reply
from paquebot_mta.telemetry.events import (
    Attempt,
    LimitHit,
    TxBegin,
    TxCommit,
    TxEnvelope,
    TxMail,
    TxRcpt,
    TxReset,
    TxRollback,
)
from paquebot_mta.telemetry.events import Verdict as Result


def verdict_of(reply: Reply) -> Result:
    """Say what a reply means in a report."""
    return "ok" if reply.positive else "permfail" if reply.permanent else "tempfail"


class TransactionSession(GreetingSession):
    """The envelope."""

    async def smtp_MAIL(self, arg: str) -> None:  # noqa: N802 - aiosmtpd's spelling
        """Begin a transaction."""
        if self.host.draining:
            self.say_goodbye(answers.SHUTTING_DOWN, "shutdown")
            return
        if not self.session.method or self.envelope.draft is not None:
            self.refuse(answers.NOT_NOW)
            return
        self.policy = self.host.policy_of(self._endpoint) or self.policy
        self.envelope = self._create_envelope()
        mail = self.envelope.mail = parse_mail(arg, dsn=self.policy.listener.dsn)
        address = str(mail.reverse_path) if mail.reverse_path is not None else ""
        refusal = self._check_client() or self._check_limits(mail.size)
        if refusal is None and self.screening is not None:
            verdict = await self._screen_mail(self.screening, address)
            if verdict.refusal is not None:
                self._refuse_transaction(Answer(verdict.refusal), verdict)
                return
            if isinstance(verdict.decision, Rewrite):
                address = str(self.envelope.mail.reverse_path or "")
        answer = refusal or answer_of(await self._ask("MAIL", address))
        if not answer.reply.positive or self.envelope.draft is None:
            self._refuse_transaction(answer)
            return
        self.envelope.mail_from = address
        self.envelope.smtp_utf8 = mail.smtputf8
        self.session.messages += 1
        self.reply(answer.reply)
        session, endpoint, msgid = self.session.id, self._endpoint, self.envelope.draft.msgid
        if self.screening is not None:
            self.screening.begin(msgid, address)
        self._emit(TxBegin(direction="in", session=session, endpoint=endpoint, msgid=msgid))
        self._emit(
            TxMail(direction="in", session=session, endpoint=endpoint, msgid=msgid, result="ok", address=address)
        )

    async def _screen_mail(self, screening: Screening, address: str) -> Verdict:
        """Ask the filters about the reverse-path; another one of theirs is read as if the client had sent it."""
        found = screening.ask_at_once("mail-from", address)
        verdict = found if isinstance(found, Verdict) else await found
        if isinstance(verdict.decision, Rewrite):
            mail = self.envelope.mail
            dsn, utf8 = self.policy.listener.dsn, " SMTPUTF8" if mail.smtputf8 else ""
            given = self.reread(partial(parse_mail, dsn=dsn), f"FROM:{verdict.decision.parameter}{utf8}")
            self.envelope.mail = replace(mail, reverse_path=given.reverse_path)
        return verdict

    def _check_client(self) -> Answer | None:
        """Whether this client may send here at all."""
        listener, session = self.policy.listener, self.session
        if listener.tls.required and not session.tls_version:
            return Answer(answers.TLS_FIRST)
        if listener.auth.mode == "Required" and not session.user and session.family != "unix":
            return Answer(answers.AUTH_FIRST)
        return None

    def _check_limits(self, size: int) -> Answer | None:
        limits = self.policy.limits
        if size > limits.message_bytes:
            return self._limited("size", answers.TOO_BIG)
        if self.session.messages >= limits.messages_per_session:
            return self._limited("message", answers.TOO_MANY_MESSAGES)
        if not self.within_rate("message", limits.rates.messages_per_minute):
            return Answer(answers.TOO_MUCH_MAIL, "rate")
        if not self._user_may("user-message", limits.rates.user_messages_per_hour):
            return Answer(answers.TOO_MUCH_MAIL_OF_USER, "rate")
        return None

    def _user_may(self, kind: Kind, limit: int) -> bool:
        """Count what an authenticated user does, in an hour and over all sessions."""
        user = self.session.user
        if not limit or not user or self.host.rates.take(kind, user, limit, HOUR):
            return True
        self._emit(LimitHit(direction="in", limit="rate", session=self.session.id))
        return False

    def _check_recipient_limits(self) -> Answer | None:
        limits = self.policy.limits
        if self.envelope.accepted >= limits.recipients:
            return self._limited("rcpt", answers.TOO_MANY_RECIPIENTS)
        if not self.within_rate("recipient", limits.rates.recipients_per_minute):
            return Answer(answers.TOO_FAST_RECIPIENTS, "rate")
        if not self._user_may("user-recipient", limits.rates.user_recipients_per_hour):
            return Answer(answers.TOO_FAST_RECIPIENTS_OF_USER, "rate")
        return None

    def _limited(self, limit: Literal["size", "message", "rcpt"], reply: Reply) -> Answer:
        self._emit(LimitHit(direction="in", limit=limit, session=self.session.id))
        return Answer(reply, "size" if limit == "size" else "rate")

    def _refuse_transaction(self, answer: Answer, verdict: Verdict = GO_ON) -> None:
        reply = answers.INTERNAL_FAULT if answer.reply.positive else answer.reply
        self.envelope.discard()
        self.envelope = self._create_envelope()
        if verdict.refusal is not None:
            self.turn_down(verdict)
        else:
            self.refuse(reply)
        fault: Literal["queue", "filter", ""] = "filter" if verdict.failed else ""
        fault = "queue" if reply.status.startswith("4.3.") else fault
        self._emit(Attempt(direction="in", outcome="fault", fault=fault) if fault else _REJECTED)

    async def _ask(self, hook: str, *arguments: object) -> object:
        status = await self.call(hook, *arguments, [])
        return answers.OK if status is MISSING else status

    async def smtp_RCPT(self, arg: str) -> None:  # noqa: N802 - aiosmtpd's spelling
        """Add a recipient."""
        envelope = self.envelope
        if envelope.draft is None or envelope.intake is not None:
            self.refuse(answers.NOT_NOW)
            return
        mail, policy = envelope.mail, self.policy
        recipient = envelope.recipient = parse_recipient(
            arg, dsn=policy.listener.dsn, smtputf8=mail.smtputf8, postmaster_domain=self.home
        )
        envelope.fresh = ()
        refusal, verdict = self._check_recipient_limits(), GO_ON
        address = str(recipient.address)
        if refusal is None and self.screening is not None:
            verdict = await self._screen_recipient(self.screening, recipient, address)
            if verdict.refusal is not None:
                refusal = Answer(verdict.refusal, verdict.reason)
            if envelope.recipient is not recipient:
                address = str(envelope.recipient.address)
        self._answer_recipient(address, refusal or answer_of(await self._ask("RCPT", address)), verdict)

    async def _screen_recipient(self, screening: Screening, recipient: Recipient, address: str) -> Verdict:
        """Ask the listener's filters, then those of the recipient's domain; another recipient is read like RCPT."""
        found = screening.ask_at_once("rcpt-to", address)
        verdict = found if isinstance(found, Verdict) else await found
        recipient = self._rewritten(verdict, recipient)
        screening.spoiled = False
        chain = screening.chain_of(recipient.address.domain)
        if verdict.refusal is None and chain is not None and chain.asks("rcpt-to"):
            part = self.envelope.parts.get(recipient.address.domain)
            facts = facts_about(screening.facts, part)
            verdict = await chain.decide("rcpt-to", facts, str(recipient.address))
            screening.spoiled = isinstance(verdict.decision, Junk)
            own, recipient = recipient, self._rewritten(verdict, recipient)
            if recipient.address.domain != own.address.domain:  # whose filters, if it has any, would not be asked
                raise CommandError(answers.FILTER_FAULT)
        self.envelope.recipient = recipient
        return verdict

    def _rewritten(self, verdict: Verdict, recipient: Recipient) -> Recipient:
        if not isinstance(verdict.decision, Rewrite):
            return recipient
        utf8 = self.envelope.mail.smtputf8
        parse = partial(parse_recipient, dsn=False, smtputf8=utf8, postmaster_domain=self.home)
        given = self.reread(parse, f"TO:{verdict.decision.parameter}")
        return replace(recipient, address=given.address)

    def _answer_recipient(self, address: str, answer: Answer, verdict: Verdict) -> None:
        envelope, session, endpoint = self.envelope, self.session.id, self._endpoint
        result = verdict_of(answer.reply)
        if result == "ok":
            envelope.accepted += 1
            envelope.rcpt_tos.append(address)
            self._keep_recipient(address)
            for each in envelope.fresh:
                self._emit(
                    TxEnvelope(
                        direction="in", session=session, endpoint=endpoint, msgid=envelope.msgid, evpid=each.evpid
                    )
                )
            self.reply(answer.reply)
        else:
            envelope.rejected += 1
            if verdict.refusal is not None:
                self.turn_down(verdict)
            else:
                self.refuse(answer.reply)
        self._emit(
            TxRcpt(
                direction="in",
                session=session,
                endpoint=endpoint,
                msgid=envelope.msgid,
                result=result,
                address=address,
                reason="" if result == "ok" else answer.reason,
            )
        )

    async def smtp_RSET(self, arg: str) -> None:  # noqa: N802 - aiosmtpd's spelling
        """Forget the transaction."""
        if arg:
            self.refuse(answers.SYNTAX)
            return
        self.junk += 1
        if await self.screen("rset") is None:
            return
        self.end_transaction(Attempt(direction="in", outcome="client_aborted"))
        await self._answer("RSET", answers.RESET)

    def _keep_recipient(self, address: str) -> None:
        """Put an accepted recipient where its message is; which part that is, the hook said."""
        envelope, part = self.envelope, self.envelope.part
        if part is not None:
            part.envelopes.extend(envelope.fresh)
            part.recipients.append(address)
            envelope.receivers.append(part)
        if self.screening is not None:
            self.screening.facts.recipients.append(address)
            if part is not None and self.screening.spoiled:
                part.junk = True

    def end_transaction(self, attempt: Attempt) -> None:
        """Roll back what is open, if anything is; recipients that were all refused make it a refusal of ours."""
        envelope = self.envelope
        self._content = None
        if envelope.draft is None:
            return
        envelope.discard()
        self._close_envelope()
        session, endpoint, msgid = self.session.id, self._endpoint, envelope.draft.msgid
        self._emit(TxRollback(direction="in", session=session, endpoint=endpoint, msgid=msgid))
        self._emit(TxReset(direction="in", session=session, endpoint=endpoint, msgid=msgid))
        refused = attempt.outcome == "client_aborted" and envelope.rejected and not envelope.accepted
        self._emit(_REJECTED if refused else attempt)

    def _close_envelope(self) -> None:
        self.envelope = self._create_envelope()
        if self.screening is not None:
            self.screening.reset()

    def commit_transaction(self) -> None:
        """Report that the message is ours."""
        envelope = self.envelope
        assert envelope.draft is not None
        envelope.release()
        self._close_envelope()
        self.junk = 0
        session, endpoint, msgid = self.session.id, self._endpoint, envelope.draft.msgid
        self._emit(
            TxCommit(
                direction="in",
                session=session,
                endpoint=endpoint,
                msgid=msgid,
                size=envelope.draft.size,
                recipients=envelope.accepted,
            )
        )
        self._emit(TxReset(direction="in", session=session, endpoint=endpoint, msgid=msgid))
        self._emit(_ACCEPTED)


_REJECTED = Attempt(direction="in", outcome="policy_rejected")
_ACCEPTED = Attempt(direction="in", outcome="accepted")
