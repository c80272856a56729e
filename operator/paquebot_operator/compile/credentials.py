"""What may stand in credentials tables: hashes for those who log in to us, user:password where we log in."""

import re
from collections.abc import Mapping

from paquebot_operator.compile.conditions import Report

_HASHES = re.compile(
    r"\$2[aby]\$[0-9]{2}\$[./A-Za-z0-9]{53}"
    r"|\$argon2(?:id|i|d)\$v=[0-9]{1,3}\$m=[0-9]{1,9},t=[0-9]{1,4},p=[0-9]{1,3}\$[A-Za-z0-9+/]{8,128}\$[A-Za-z0-9+/]{16,256}"
    r"|\$6\$(?:rounds=[0-9]{4,9}\$)?[./A-Za-z0-9]{1,16}\$[./A-Za-z0-9]{86}"
)


def check_hashes(entries: Mapping[str, str], table: str, field: str, report: Report) -> None:
    """Every value must be a bcrypt, argon2 or sha512-crypt hash; a password in plain text is refused."""
    for place, value in enumerate(entries.values(), 1):
        if not _HASHES.fullmatch(value):
            message = (
                f"Table {table}, entry {place}: not a bcrypt, argon2 or sha512-crypt hash; "
                "passwords in plain text are refused"
            )
            report.unresolved("InvalidCredentials", field, message)


def check_relay_login(entries: Mapping[str, str], label: str, table: str, field: str, report: Report) -> None:
    """The label's value must be ``user:password``."""
    value = entries.get(label)
    if value is None:
        report.unresolved("KeyNotFound", f"{field}.label", f"Table {table} has no entry with this label: add it")
    elif not re.fullmatch(r"[^:]+:.+", value):
        report.unresolved("InvalidCredentials", field, f"Table {table}: the label's value must be user:password")
