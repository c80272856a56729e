"""What rspamd is told of a message beside its content: header fields of the request (its HTTP protocol)."""

import re
from typing import Final

from paquebot_mta.filter.contract import Facts

MAX_RECIPIENTS: Final = 500
"""Of one request; rspamd itself looks at a thousand."""
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")


def request_fields(facts: Facts, *, hostname: str, password: str) -> list[tuple[str, str]]:
    """Give the fields; a name may stand there several times.

    Args:
        hostname: ours, the MX that the client came to.
    """
    version, cipher, bits = [*facts.tls.split(":"), "", "", ""][:3]
    single = {
        "IP": "" if facts.client_address == "local" else facts.client_address,
        "Hostname": _verified_name(facts),
        "Helo": facts.helo,
        "From": f"<{facts.reverse_path or ''}>",
        "User": facts.user,
        "Queue-Id": facts.msgid or "",
        "MTA-Name": hostname,
        "MTA-Tag": hostname,
        "TLS-Version": version,
        "TLS-Cipher": cipher if bits else "",
        "Password": password,
    }
    fields = [(name, clean(value)) for name, value in single.items() if value]
    if len(facts.recipients) == 1:
        fields.append(("Deliver-To", clean(facts.recipients[0])))
    return fields + [("Rcpt", clean(f"<{each}>")) for each in facts.recipients[:MAX_RECIPIENTS]]


def _verified_name(facts: Facts) -> str:
    """Give the client's name only if it leads back: there is no field to say that it doesn't."""
    return "" if facts.fcrdns != "pass" or facts.client_name.startswith("<") else facts.client_name


def clean(value: str) -> str:
    """Take control characters out: no value may begin another line."""
    return _CONTROL.sub("?", value)
