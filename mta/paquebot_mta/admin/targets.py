"""What a command acts on: an envelope id, a message id or ``all``. Pure; server and command line share it."""

from paquebot_mta.mail.ids import parse_evpid, parse_msgid

ALL = "all"


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
