"""What a command acts on: an envelope id, a message id, a route or ``all``. Pure; server and command line share it."""

import re
from ipaddress import ip_address
from typing import Final

from paquebot_mta.mail.ids import parse_evpid, parse_msgid

ALL = "all"
_ROUTE_ID: Final = re.compile(r"[0-9a-f]{8}")


def parse_target(text: str) -> str:
    """Read a target as a person typed it.

    Raises:
        ValueError: it is none of the three.
    """
    folded = text.strip().lower()
    if folded == ALL:
        return ALL
    try:
        return parse_evpid(folded) if len(folded) > 8 else parse_msgid(folded)
    except ValueError:
        raise ValueError(f"not an envelope id (16 hex digits), a message id (8) or 'all': {text[:64]!r}") from None


def parse_route_target(text: str) -> str:
    """Read a route's id, the address of a next hop, or ``all``, as a person typed it.

    Raises:
        ValueError: it is none of the three.
    """
    folded = text.strip().lower()
    if folded == ALL or _ROUTE_ID.fullmatch(folded):
        return folded
    try:
        return str(ip_address(folded.strip("[]")))
    except ValueError:
        raise ValueError(f"not a route's id (8 hex digits), an IP address or 'all': {text[:64]!r}") from None
