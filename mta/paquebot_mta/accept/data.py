"""DATA and BDAT: the content comes in, chunk by chunk, and is committed; nothing of it is parsed as a command."""

from typing import Final

from aiosmtpd.smtp import MISSING

from paquebot_mta.accept import answers
from paquebot_mta.accept.answers import answer_of
from paquebot_mta.accept.judging import JudgingSession, refused_by
from paquebot_mta.accept.transaction import verdict_of
from paquebot_mta.filter.chain import GO_ON, Verdict
from paquebot_mta.filter.decisions import Disconnect, Reject
from paquebot_mta.mail.commands import parse_chunk
from paquebot_mta.mail.content import BdatReader, DataReader, Fault
from paquebot_mta.mail.reply import Reply
from paquebot_mta.telemetry.events import Attempt, LimitHit, ProtocolClient, TxData

_REPLIES: Final[dict[Fault, Reply]] = {
    "bare-cr": answers.BARE_LINE_END,
    "bare-lf": answers.BARE_LINE_END,
    "nul": answers.NUL_IN_CONTENT,
    "line-too-long": answers.CONTENT_LINE_TOO_LONG,
    "too-big": answers.TOO_BIG,
}


class DataSession(JudgingSession):
    """The content."""

    _chunks: BdatReader | None = None  # of the open transaction, once BDAT was used
    _refusal: Reply | None = None  # of the chunk that is being skipped
    _last = False

    async def smtp_DATA(self, arg: str) -> None:  # noqa: N802 - aiosmtpd's spelling
        """Ask for the content."""
        if arg:
            self.refuse(answers.SYNTAX)
        elif not self._may_begin():
            self.refuse(answers.NOT_NOW)
        elif (verdict := await self.screen_data()).refusal is not None:
            self._report_data(verdict.refusal)
            self.turn_down(verdict)
        elif not await self._begin():
            self.refuse(answers.NOT_NOW)
        else:
            self.reply(answers.START_DATA)
            self._report_data()
            self._content = DataReader(self.policy.limits.message_bytes)
            self.begin_data()

    async def smtp_BDAT(self, arg: str) -> None:  # noqa: N802 - aiosmtpd's spelling
        """Take a chunk; one that can't be taken is skipped, because its bytes come anyway (RFC 3030, 2)."""
        chunk = parse_chunk(arg)
        self._last, self._refusal = chunk.last, None
        self.junk += not chunk.size and not chunk.last  # a chunk of nothing goes nowhere
        if self._chunks is None:
            self._refusal = await self._begin_chunks()
        reader = self._chunks or BdatReader(0)
        reader.expect(chunk.size, last=chunk.last)
        self._content = reader
        self.begin_data()

    async def _begin_chunks(self) -> Reply | None:
        """Get ready for the first chunk, or say why not."""
        if not self._may_begin():
            return answers.NOT_NOW
        verdict = await self.screen_data()
        if verdict.refusal is not None:
            self._report_data(verdict.refusal)
            return verdict.refusal
        if not await self._begin():
            return answers.NOT_NOW
        self._chunks = BdatReader(self.policy.limits.message_bytes)
        self._report_data()
        return None

    def _may_begin(self) -> bool:
        return bool(self.envelope.accepted) and self.envelope.intake is None

    async def _begin(self) -> bool:
        """Open the draft's content; the hook must set ``envelope.intake``."""
        await self.call("DATA_BEGIN")
        return self.envelope.intake is not None

    def _report_data(self, refusal: Reply | None = None) -> None:
        self._emit(
            TxData(
                direction="in",
                session=self.session.id,
                endpoint=self._endpoint,
                msgid=self.envelope.msgid,
                result="ok" if refusal is None else verdict_of(refusal),
                reason="" if refusal is None else "filter",
            )
        )

    async def read_content(self) -> bool:
        """Pass on what is in the buffer; True once the content or chunk ended."""
        reader, intake = self._content, self.envelope.intake
        empty_chunk = isinstance(reader, BdatReader) and not reader.missing
        if reader is None or not (len(self._input) or empty_chunk):
            return False
        content, rest = reader.feed(self._input.take_all())
        if content and intake is not None:
            await intake.feed(content)
        if rest is None:
            return len(self._input) > 0  # what came while the draft was written: perhaps nothing more will come
        self._input.feed(rest)
        self._content = None
        if isinstance(reader, DataReader):
            command = ProtocolClient(direction="in", session=self.session.id, endpoint=self._endpoint, command=".")
            self._emit(command)
            await self._end(reader.fault)
        else:
            await self._end_chunk(reader)
        return True

    async def _end_chunk(self, reader: BdatReader) -> None:
        if self._refusal is not None:
            self.refuse(self._refusal)
        elif self._last or reader.fault is not None or self._failed():
            await self._end(reader.fault)
        else:
            self.reply(Reply(250, f"{reader.size} octets received", "2.0.0"))

    def _failed(self) -> bool:
        return self.envelope.intake is not None and self.envelope.intake.failure is not None

    async def _end(self, fault: Fault | None) -> None:
        """Commit, or say why not; replies that wait go out first, because a commit takes time."""
        self.flush()
        self._chunks = None
        if fault == "too-big":
            self._emit(LimitHit(direction="in", limit="size", session=self.session.id))
        reply, verdict = (_REPLIES[fault], GO_ON) if fault is not None else await self._finish()
        if self._lost and verdict is not GO_ON:
            return  # while filters were asked the client went away: it will come again
        for each in self._replies(reply):
            if each.positive:
                self.reply(each)
            else:
                self.refuse(each)
        if reply.positive:
            self.commit_transaction()
        else:
            self.end_transaction(refused_by(verdict) if verdict.refusal is not None else _attempt(reply))
        if isinstance(verdict.decision, Disconnect):
            self.close("filter")

    def _replies(self, reply: Reply) -> list[Reply]:
        """One reply, or with LMTP one for each recipient that was accepted (RFC 2033, 4.2), and each its own."""
        if not self.policy.lmtp:
            return [reply]
        if not reply.positive:
            return [reply] * self.envelope.accepted
        return [part.refusal or reply for part in self.envelope.receivers]

    async def _finish(self) -> tuple[Reply, Verdict]:
        """Let filters judge what came, and store it; the verdict if they had none of it."""
        assert self.envelope.intake is not None
        self.envelope.intake.finish()
        failure = self.envelope.intake.failure
        if failure is not None:
            return failure, GO_ON
        verdict = await self.screen_message()
        if self._lost and self.screening is not None:
            return answers.INTERNAL_FAULT, _GONE
        if verdict.refusal is not None:
            return verdict.refusal, verdict
        return await self._commit(), GO_ON

    async def _commit(self) -> Reply:
        """Hand the message over; from here on neither a timeout nor the client's going away stops it."""
        self.committing = True
        try:
            status = await self.call("DATA")
        finally:
            self.committing = False
        return answers.INTERNAL_FAULT if status is MISSING else answer_of(status).reply

    def end_transaction(self, attempt: Attempt) -> None:
        """Forget the chunks, too."""
        self._chunks = None
        super().end_transaction(attempt)


_GONE: Final = Verdict(Reject(answers.INTERNAL_FAULT), failed=True)


def _attempt(reply: Reply) -> Attempt:
    if reply.transient:
        return Attempt(direction="in", outcome="fault", fault="queue")
    return Attempt(direction="in", outcome="policy_rejected")
