"""Macros of Sendmail that milters ask for, from what is known of a session."""

from email.utils import formatdate
from typing import Final

from paquebot_mta.filter.contract import Facts

SOFTWARE: Final = "Paquebot"


def session_macros(facts: Facts, hostname: str) -> dict[str, str]:
    """Give those of the connection; ``_`` as Sendmail spells it: name and address."""
    local = facts.client_address == "local"
    address = "127.0.0.1" if local else facts.client_address
    name = "localhost" if local else client_name(facts)
    return {
        "j": hostname,
        "v": SOFTWARE,
        "daemon_name": facts.endpoint,
        "if_addr": facts.local_address,
        "client_addr": address,
        "client_name": name,
        "client_port": str(facts.client_port),
        "client_ptr": "localhost" if local else _or_address(facts.client_name, facts),
        "client_resolve": "OK" if local else _resolved(facts),
        "_": f"{name} [{address}]",
    }


def helo_macros(facts: Facts) -> dict[str, str]:
    """Give those of TLS."""
    version, cipher, bits = [*facts.tls.split(":"), "", "", ""][:3]
    return {"tls_version": version, "cipher": cipher, "cipher_bits": bits}


def mail_macros(facts: Facts, now_seconds: float) -> dict[str, str]:
    """Give those of the transaction; ``b`` is the time, as a Received field has it."""
    sender = facts.reverse_path or ""
    return {
        "i": facts.msgid or "",
        "b": formatdate(now_seconds),
        "auth_type": "PLAIN" if facts.user else "",
        "auth_authen": facts.user,
        "auth_author": facts.user,
        "mail_addr": sender,
        "mail_host": sender.rpartition("@")[2],
        "mail_mailer": "smtp",
        **helo_macros(facts),
    }


def recipient_macros(facts: Facts, recipient: str) -> dict[str, str]:
    """Give those of one recipient."""
    return {
        "i": facts.msgid or "",
        "rcpt_addr": recipient,
        "rcpt_host": recipient.rpartition("@")[2],
        "rcpt_mailer": "smtp",
    }


def client_name(facts: Facts) -> str:
    """Give the client's verified name, its address in brackets if it has none: milters believe what they are told."""
    return _or_address(facts.client_name if facts.fcrdns == "pass" else "<unknown>", facts)


def _resolved(facts: Facts) -> str:
    """Say what became of the reverse name, as Sendmail does: a name that leads elsewhere is forged."""
    if facts.fcrdns == "fail":
        return "FAIL" if facts.client_name.startswith("<") else "FORGED"
    return "OK" if facts.fcrdns == "pass" else "TEMP"


def _or_address(name: str, facts: Facts) -> str:
    return f"[{facts.client_address}]" if name.startswith("<") else name
