"""What a session says: the fixed replies, and how whatever a hook returns becomes bytes. Texts are OpenSMTPD's."""

from functools import lru_cache
from typing import Final

from msgspec import Struct

from paquebot_mta.expand.results import Reason
from paquebot_mta.mail.ids import Msgid
from paquebot_mta.mail.reply import Reply


class Answer(Struct, frozen=True):
    """A reply of a hook and, if it refuses, the reason for metrics."""

    reply: Reply
    reason: Reason = "other"


GOODBYE: Final = Reply(221, "Bye", "2.0.0")
OK: Final = Reply(250, "Ok", "2.0.0")
RESET: Final = Reply(250, "Reset state", "2.0.0")
RECIPIENT_OK: Final = Reply(250, "Destination address valid: Recipient ok", "2.1.5")
START_DATA: Final = Reply(354, 'Enter mail, end with "." on a line by itself')
START_TLS: Final = Reply(220, "Ready to start TLS", "2.0.0")
AUTHENTICATED: Final = Reply(235, "Authentication succeeded", "2.0.0")
NOT_VERIFIED: Final = Reply(252, "Cannot VRFY user, but will accept message and attempt delivery", "2.5.2")
HELP: Final = Reply(214, "Commands: EHLO HELO MAIL RCPT DATA BDAT RSET NOOP VRFY STARTTLS AUTH HELP QUIT", "2.0.0")

SHUTTING_DOWN: Final = Reply(421, "Service shutting down, try again later", "4.3.2")
PAUSED: Final = Reply(421, "Service paused, try again later", "4.3.2")
TOO_MANY_SESSIONS: Final = Reply(421, "Too many sessions, try again later", "4.3.2")
TOO_MANY_FROM_YOU: Final = Reply(421, "Too many sessions from your address, try again later", "4.7.0")
TOO_MANY_FROM_NETWORK: Final = Reply(421, "Too many sessions from your network, try again later", "4.7.0")
TOO_OFTEN: Final = Reply(421, "Too many connections from your address, try again later", "4.7.0")
TOO_MANY_ERRORS: Final = Reply(421, "Too many errors, closing connection", "4.7.0")
TOO_MANY_FAILURES: Final = Reply(421, "Too many authentication failures, closing connection", "4.7.0")
TIMED_OUT: Final = Reply(421, "Timeout, closing connection", "4.4.2")
FILTER_FAULT: Final = Reply(451, "Temporary failure, try again later", "4.7.1")
FILTERS_DOWN: Final = Reply(421, "Temporary failure, try again later", "4.7.1")
INTERNAL_FAULT: Final = Reply(451, "Temporary failure", "4.3.0")

NOT_NOW: Final = Reply(503, "Invalid command: Command not allowed at this point.", "5.5.1")
UNKNOWN: Final = Reply(500, "Invalid command: Command unrecognized", "5.5.1")
NOT_SUPPORTED: Final = Reply(503, "Invalid command: Command not supported", "5.5.1")
SYNTAX: Final = Reply(501, "Invalid command: Syntax error", "5.5.2")
LINE_TOO_LONG: Final = Reply(500, "Invalid command: Command line too long", "5.5.2")
BAD_LINE: Final = Reply(500, "Invalid command: Lines must end with CRLF and hold no control character", "5.5.2")
OUT_OF_SYNC: Final = Reply(554, "Protocol synchronization error", "5.5.0")
TLS_FIRST: Final = Reply(530, "Must issue a STARTTLS command first", "5.7.0")
AUTH_FIRST: Final = Reply(530, "Must issue an AUTH command first", "5.7.0")
BAD_CREDENTIALS: Final = Reply(535, "Authentication failed", "5.7.8")
AUTH_FAULT: Final = Reply(454, "Temporary authentication failure", "4.7.0")
AUTH_CANCELLED: Final = Reply(501, "Authentication cancelled", "5.7.0")
BAD_MECHANISM: Final = Reply(504, "Authentication mechanism not supported", "5.5.4")
BAD_SENDER: Final = Reply(550, "Sender rejected", "5.7.1")
TOO_MANY_MESSAGES: Final = Reply(452, "Too many messages sent in this session", "4.5.3")
TOO_MUCH_MAIL: Final = Reply(450, "Too much mail from your address, try again later", "4.7.1")
TOO_MUCH_MAIL_OF_USER: Final = Reply(450, "Too much mail from this user, try again later", "4.7.1")
TOO_FAST_RECIPIENTS: Final = Reply(450, "Too many recipients from your address, try again later", "4.7.1")
TOO_FAST_RECIPIENTS_OF_USER: Final = Reply(450, "Too many recipients from this user, try again later", "4.7.1")
TOO_FAST_AUTH: Final = Reply(450, "Too many AUTH commands from your address, try again later", "4.7.1")
TOO_FAST_TLS: Final = Reply(454, "Too many TLS sessions from your address, try again later", "4.7.0")
TOO_MANY_RECIPIENTS: Final = Reply(452, "Too many recipients", "4.5.3")
NO_ROOM: Final = Reply(452, "Insufficient system storage", "4.3.1")
TOO_BIG: Final = Reply(552, "Message exceeds fixed maximum message size: message too big", "5.3.4")
HEADER_TOO_BIG: Final = Reply(552, "Message header too big", "5.3.4")
BAD_HEADER: Final = Reply(550, "Message is not RFC 5322 compliant", "5.7.1")
LOOP: Final = Reply(554, "Loop detected: too many Received fields", "5.4.6")
BARE_LINE_END: Final = Reply(550, "Message holds a bare CR or LF", "5.6.11")
NUL_IN_CONTENT: Final = Reply(550, "Message holds a NUL character", "5.6.0")
CONTENT_LINE_TOO_LONG: Final = Reply(554, "Message holds a line that is too long", "5.6.0")


def accepted(msgid: Msgid) -> Reply:
    """Say that the message is ours now."""
    return Reply(250, f"{msgid} Message accepted for delivery", "2.0.0")


def answer_of(status: object) -> Answer:
    """Take whatever a hook returned: an Answer, a Reply, or text as aiosmtpd's handlers return it."""
    if isinstance(status, Answer):
        return status
    return Answer(status if isinstance(status, Reply) else _parse(str(status)))


def _parse(text: str) -> Reply:
    code, words = text[:3], text[4:]
    return Reply(int(code), words) if code.isdecimal() and code.isascii() and len(code) == 3 else INTERNAL_FAULT


@lru_cache(maxsize=256)
def spell(reply: Reply) -> tuple[bytes, tuple[str, ...]]:
    """Give the bytes of a reply, and its lines for reports."""
    wire = reply.encode()
    return wire, tuple(wire.decode("utf-8", "replace").split("\r\n")[:-1])
