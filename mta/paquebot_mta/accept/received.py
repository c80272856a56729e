"""The trace field that we put in front of each message (RFC 5321, 4.4), in OpenSMTPD's shape. Knows no I/O."""

import time
from functools import lru_cache
from typing import Final

from paquebot_mta.accept.state import SessionState, TransactionState
from paquebot_mta.config.listeners import Listener

_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def make_received(
    session: SessionState, envelope: TransactionState, listener: Listener, hostname: str, now: float
) -> bytes:
    """Make the field, ended by CRLF; ``now`` in seconds since 1970."""
    source = "" if listener.mask_source else f"from {session.host_name} ({_client(session)})\r\n\t"
    protocol = f"UTF8{session.protocol.removeprefix('E')}" if envelope.mail.smtputf8 else session.protocol
    by = f"by {hostname} (Paquebot) with {protocol} id {envelope.msgid}{_tls(session)}"
    user = f" auth=yes user={session.user}" if listener.received_auth and session.user.isprintable() else ""
    recipient = f"\r\n\tfor <{envelope.rcpt_tos[0]}>" if len(envelope.rcpt_tos) == 1 else ""
    field = f"Received: {source}{by}{user if session.user else ''}{recipient};\r\n\t{format_date(int(now))}\r\n"
    return field.encode()


def _client(session: SessionState) -> str:
    if session.family == "unix":
        return f"{'localhost' if session.user_id is None else f'userid {session.user_id}'} [local]"
    address = session.client_address
    return f"{session.client_name} [{'IPv6:' if ':' in address else ''}{address}]"


def _tls(session: SessionState) -> str:
    if not session.tls_version:
        return ""
    verified = "YES" if session.tls_verified else "NO"
    return f" ({session.tls_version}:{session.tls_cipher}:{session.tls_bits}:{verified})"


@lru_cache(maxsize=8)
def format_date(seconds: int) -> str:
    """Spell a time as RFC 5322, 3.3 wants it, in UTC, whatever the locale."""
    at = time.gmtime(seconds)
    clock = f"{at.tm_hour:02}:{at.tm_min:02}:{at.tm_sec:02}"
    return f"{_DAYS[at.tm_wday]}, {at.tm_mday} {_MONTHS[at.tm_mon - 1]} {at.tm_year} {clock} +0000"
