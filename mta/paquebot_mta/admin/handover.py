"""Handing a local submission to a service over a socket that is open already, in plain blocking SMTP.

Used by ``sendmail``, and by the service itself for what was left in its absence. It promises that what came of it is
told without doubt: taken, refused, to be tried again, or not known.
"""

import socket
import time
from collections.abc import Iterable, Sequence
from typing import Final

from msgspec import Struct

from paquebot_mta.mail.address import Address, AddressError
from paquebot_mta.mail.replies import ReplyError, ReplyReader
from paquebot_mta.mail.reply import Reply
from paquebot_mta.mail.submission import DOMAIN_KEYWORD, Submission, qualify

TIMEOUT_SECONDS: Final = 60.0
_RECEIVE_BYTES: Final = 65_536


class NotTakenError(Exception):
    """Nobody has the message: there is no service, or it broke off before it had all of it."""


class UnknownEndError(Exception):
    """The service had all of the message and never said what became of it."""


class Handed(Struct, frozen=True):
    """What came of it.

    Attributes:
        reply: to the content, or, if that was not sent, the one that was in its way.
        refused: recipients as the submission names them, with the replies.
    """

    reply: Reply
    refused: dict[str, Reply]

    @property
    def taken(self) -> bool:
        """Whether the service has the message for those who were not refused."""
        return self.reply.code == 250


class Conversation:
    """One SMTP session; ``timeout_seconds`` is for each reply."""

    def __init__(self, connected: socket.socket, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self._socket = connected
        self._timeout_seconds = timeout_seconds
        self._reader = ReplyReader()
        self.domain = ""

    def greet(self) -> Reply:
        """Wait for the banner and say EHLO; ``domain`` is that of the service's users then.

        Raises:
            NotTakenError: it broke off.
        """
        banner = self._next()
        if banner.code != 220:
            return banner
        welcome = self.say("EHLO localhost")
        self.domain = _domain_of(welcome)
        return welcome

    def say(self, command: str) -> Reply:
        """Send a command and wait for its reply.

        Raises:
            NotTakenError: it broke off.
        """
        self._send(f"{command}\r\n".encode())
        return self._next()

    def give(self, size: int, chunks: Iterable[bytes]) -> Reply:
        """Send the content of ``size`` bytes (RFC 3030); no byte of it can be taken for its end.

        Raises:
            NotTakenError: it broke off before all was sent.
            UnknownEndError: it broke off afterwards.
        """
        for chunk in chunks:
            size -= len(chunk)
            self._send(b"BDAT %d%s\r\n" % (len(chunk), b"" if size else b" LAST") + chunk)
            if not size:
                return self._last()
            reply = self._next()
            if reply.code != 250:
                return reply
        raise NotTakenError("the content ended early")

    def _last(self) -> Reply:
        try:
            return self._next()
        except NotTakenError as error:
            raise UnknownEndError(str(error)) from error

    def _send(self, data: bytes) -> None:
        try:
            self._socket.settimeout(self._timeout_seconds)
            self._socket.sendall(data)
        except OSError as error:
            raise NotTakenError(str(error)) from error

    def _next(self) -> Reply:
        """Wait for a reply, however its bytes come."""
        deadline = time.monotonic() + self._timeout_seconds
        try:
            while (reply := self._reader.next_reply()) is None:
                self._socket.settimeout(max(0.001, deadline - time.monotonic()))
                data = self._socket.recv(_RECEIVE_BYTES)
                if not data:
                    raise NotTakenError("the service closed the connection")
                self._reader.feed(data)
        except (OSError, ReplyError) as error:
            raise NotTakenError(str(error)) from error
        return reply


def _domain_of(welcome: Reply) -> str:
    """Read where users live; a service that does not tell has them at its own name."""
    first, *extensions = welcome.text.splitlines() or [""]
    told = (line.split()[1:] for line in extensions if line.split()[:1] == [DOMAIN_KEYWORD])
    return next((words[0] for words in told if words), first.split(maxsplit=1)[0] if first.strip() else "")


def hand_over(
    conversation: Conversation, submission: Submission, size: int, chunks: Iterable[bytes], *, partly: bool
) -> Handed:
    """Submit one message in a session that was greeted.

    Args:
        conversation: the session.
        submission: its envelope.
        size: bytes of content.
        chunks: the content.
        partly: send to those who are not refused for good; else one refusal is enough to send nothing.

    Raises:
        NotTakenError: it broke off before it had all of the message.
        UnknownEndError: it broke off afterwards.
    """
    reply = _begin(conversation, submission, size)
    if reply.code != 250:
        return Handed(reply, {})
    refused = {}
    for name in submission.recipients:
        reply = _add(conversation, submission, name)
        if not reply.positive:
            refused[name] = reply
    if _stops(submission.recipients, refused, partly):
        conversation.say("RSET")
        return Handed(_in_the_way(list(refused.values())), refused)
    return Handed(conversation.give(size, chunks), refused)


def _begin(conversation: Conversation, submission: Submission, size: int) -> Reply:
    sender: Address | None = None
    if submission.sender:
        try:
            sender = qualify(submission.sender, conversation.domain)
        except AddressError as error:
            return Reply(553, str(error), "5.1.7")
    words = [f"MAIL FROM:<{sender or ''}>", f"SIZE={size}"]
    words += ["BODY=8BITMIME"] if submission.eight_bit else []
    words += ["SMTPUTF8"] if not (str(sender or "") + "".join(submission.recipients)).isascii() else []
    words += [f"RET={submission.dsn_return}"] if submission.dsn_return else []
    words += [f"ENVID={submission.envelope_id}"] if submission.envelope_id else []
    return _spoken(conversation, words)


def _add(conversation: Conversation, submission: Submission, name: str) -> Reply:
    try:
        words = [f"RCPT TO:<{qualify(name, conversation.domain)}>"]
    except AddressError as error:
        return Reply(553, str(error), "5.1.3")
    return _spoken(conversation, words + ([f"NOTIFY={submission.notify}"] if submission.notify else []))


def _spoken(conversation: Conversation, words: list[str]) -> Reply:
    """Say a command; what would be more than one word or line never leaves (it may come from a hostile file)."""
    if not all(word.isprintable() for word in words) or any(" " in word for word in words[1:]):
        return Reply(501, "a parameter holds what it may not", "5.5.4")
    return conversation.say(" ".join(words))


def _stops(recipients: Sequence[str], refused: dict[str, Reply], partly: bool) -> bool:
    if not refused:
        return False
    return not partly or len(refused) == len(set(recipients)) or any(reply.transient for reply in refused.values())


def _in_the_way(replies: list[Reply]) -> Reply:
    """Of several refusals the one that decides: a transient one means that all is tried again."""
    return next((reply for reply in replies if reply.transient), replies[0])
