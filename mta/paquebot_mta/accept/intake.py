"""The content's way into the draft: the trace field in front, the header looked at once, the rest passed on as it is.

The header section is held back, at most ``header_bytes`` of it, until it is complete: its fields are counted and, for
submission, completed (RFC 6409, 8). Everything else is byte for byte what the client sent.
"""

from collections.abc import Callable

from paquebot_mta.accept import answers
from paquebot_mta.accept.filtered import Sink
from paquebot_mta.config.service import Limits
from paquebot_mta.filter.hold import HoldError
from paquebot_mta.mail.header import count_fields, find_body
from paquebot_mta.mail.reply import Reply
from paquebot_mta.spool.store import SpoolError

Complete = Callable[[bytes], bytes]
"""Gives a header section what submission must add, and takes away what must not leave."""


class Intake:
    """Feeds one draft.

    Attributes:
        failure: what must be answered at the end, None while all is well; from then on nothing is written.
        cause: the private reason of a spool's failure.
    """

    __slots__ = ("_complete", "_draft", "_header", "_limits", "cause", "failure")

    def __init__(self, draft: Sink, limits: Limits, trace: bytes, complete: Complete | None = None) -> None:
        """Write the trace field; ``complete`` is for submission."""
        self._draft = draft
        self._limits = limits
        self._complete = complete
        self._header: bytearray | None = bytearray()
        self.failure: Reply | None = None
        self.cause = ""
        draft.write(trace)

    async def feed(self, content: bytes) -> None:
        """Take content; waits while the spool has too much in its buffers. Never raises: see ``failure``."""
        if self.failure is not None:
            return
        if self._header is not None:
            content = self._take_header(self._header, content)
        if content:
            self._draft.write(content)
        await self._drain()

    def finish(self) -> None:
        """Note that the content is complete: what was held back as a header is all there is."""
        if self._header is not None and self.failure is None:
            header, self._header = bytes(self._header), None
            self._draft.write(self._judge(header, len(header)))

    async def _drain(self) -> None:
        try:
            await self._draft.drain()
        except SpoolError as error:
            self.failure, self.cause = error.reply, str(error)
        except HoldError as error:
            self.failure, self.cause = answers.NO_ROOM, str(error)

    def _take_header(self, held: bytearray, content: bytes) -> bytes:
        """Hold bytes back until the header is complete, then give out what was held; each byte is looked at once."""
        known = len(held)
        held += content
        body = find_body(held, self._limits.header_bytes, known)
        if body is None:
            if len(held) >= self._limits.header_bytes:
                self._refuse(answers.HEADER_TOO_BIG)
            return b""
        self._header = None
        return self._judge(bytes(held), body)

    def _judge(self, content: bytes, body: int) -> bytes:
        """Check the header in ``content[:body]``; it may not begin with a line that would fold into ours."""
        header = content[:body]
        if header[:1] in {b" ", b"\t"}:
            return self._refuse(answers.BAD_HEADER)
        if header.count(b"eceived:") >= 1 and count_fields(header, b"Received") >= self._limits.received_headers:
            return self._refuse(answers.LOOP)
        return content if self._complete is None else self._complete(header) + content[body:]

    def _refuse(self, reply: Reply) -> bytes:
        self.failure = reply
        self._header = None
        return b""
