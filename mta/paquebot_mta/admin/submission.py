"""One message to one server, for ``paquebot send``: a tool for people, not the MTA's client (that is ``deliver``).

It promises to show what the server said, and never a password.
"""

import re
import smtplib
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from email.utils import make_msgid
from pathlib import Path
from typing import Any, Final

from paquebot_mta.mail.reply import Reply

TIMEOUT_SECONDS: Final = 60.0
_QUEUE_ID: Final = re.compile(r"\b[0-9a-f]{8}\b")
_ENHANCED: Final = re.compile(r"([245]\.\d{1,3}\.\d{1,3}) ")


@dataclass(frozen=True)
class Server:
    """Where to send and how.

    Attributes:
        tls: to start TLS with, None for none.
        password: empty for no AUTH.
    """

    host: str
    port: int
    tls: ssl.SSLContext | None = None
    user: str = ""
    password: str = field(default="", repr=False)


@dataclass(frozen=True)
class Sent:
    """What came of it: the reply to the content, and the recipients that were refused."""

    reply: Reply
    refused: dict[str, Reply]

    @property
    def queue_id(self) -> str:
        """The message id in the reply, empty if it names none."""
        found = _QUEUE_ID.search(self.reply.text)
        return found[0] if found else ""


class SendError(Exception):
    """The message was not sent; says why, and where a server refused, its reply."""


class _Client(smtplib.SMTP):
    """smtplib's client that tells each reply."""

    def __init__(self, server: Server, tell: Callable[[Reply], None]) -> None:
        self._tell = tell
        # Named here: by default smtplib asks the DNS for this machine's name.
        super().__init__(server.host, server.port, local_hostname=socket.gethostname(), timeout=TIMEOUT_SECONDS)

    def getreply(self) -> tuple[int, bytes]:
        """Read a reply and tell it."""
        code, text = super().getreply()
        self._tell(_reply(code, text))
        return code, text


def compose(sender: str, recipients: tuple[str, ...], subject: str, body: str) -> EmailMessage:
    """Make a message of text (RFC 5322); addresses are parsed already.

    Raises:
        ValueError: the subject holds a line break.
    """
    message = EmailMessage(policy=SMTP)
    message["Date"] = datetime.now(UTC)
    message["Message-ID"] = make_msgid(domain=sender.rpartition("@")[2] or "localhost")
    message["From"] = sender
    message["To"] = ", ".join(recipients)
    message["Subject"] = subject
    message.set_content(body)
    return message


def tls_context(authorities: Path | None, *, insecure: bool) -> ssl.SSLContext:
    """Make the context for STARTTLS; OSError if the authorities can't be read."""
    context = ssl.create_default_context(cafile=authorities)
    if insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def submit(
    server: Server, sender: str, recipients: tuple[str, ...], message: EmailMessage, tell: Callable[[Reply], None]
) -> Sent:
    """Send a message; ``tell`` gets each reply as it comes.

    Raises:
        SendError: nobody got it.
    """
    where = f"{server.host}:{server.port}"
    try:
        with _Client(server, tell) as client:
            _greet(client, server)
            return _transact(client, sender, recipients, message)
    except smtplib.SMTPResponseException as error:
        raise SendError(f"{where} refused: {_reply(error.smtp_code, _as_bytes(error.smtp_error))}") from error
    except smtplib.SMTPNotSupportedError as error:
        hint = "" if server.tls else " (many servers offer AUTH only after --starttls)"
        raise SendError(f"{where} can't do it: {error}{hint}") from error
    except ssl.SSLError as error:
        raise SendError(f"TLS with {where} failed: {error}; --ca FILE names whom to trust") from error
    except (OSError, smtplib.SMTPException) as error:
        raise SendError(f"{where}: {error}; is it running?") from error


def _greet(client: _Client, server: Server) -> None:
    """Greet, and if asked for start TLS and log in."""
    client.ehlo_or_helo_if_needed()
    if server.tls is not None:
        client.starttls(context=server.tls)
        client.ehlo_or_helo_if_needed()
    if server.user:
        client.login(server.user, server.password)


def _transact(client: _Client, sender: str, recipients: tuple[str, ...], message: EmailMessage) -> Sent:
    international = not (sender + "".join(recipients)).isascii()
    if international and not client.has_extn("smtputf8"):
        raise smtplib.SMTPNotSupportedError("an address is not ASCII, and the server has no SMTPUTF8")
    _want(client.mail(sender, ["SMTPUTF8", "BODY=8BITMIME"] if international else []))
    answers = {recipient: client.rcpt(recipient) for recipient in recipients}
    refused = {recipient: answer for recipient, answer in answers.items() if answer[0] >= 300}
    if len(refused) == len(recipients):
        _want(next(iter(refused.values())))
    content = message.as_bytes(policy=SMTPUTF8 if international else SMTP)
    answer = client.data(content)
    _want(answer)
    return Sent(_reply(*answer), {recipient: _reply(*each) for recipient, each in refused.items()})


def _want(answer: tuple[int, bytes]) -> None:
    """Raise the reply unless it is 2yz."""
    if not 200 <= answer[0] < 300:
        raise smtplib.SMTPResponseException(answer[0], _text(answer[1]))


def _reply(code: int, text: bytes) -> Reply:
    """Make a Reply of smtplib's pair; an enhanced status code stands at the start of each line of its text."""
    status = found[1] if (found := _ENHANCED.match(_text(text))) else ""
    lines = [line.removeprefix(f"{status} ") if status else line for line in _text(text).split("\n")]
    return Reply(code, "\n".join(lines), status)


def _text(text: bytes) -> str:
    return text.decode("utf-8", "replace")


def _as_bytes(text: Any) -> bytes:
    return text if isinstance(text, bytes) else str(text).encode()
