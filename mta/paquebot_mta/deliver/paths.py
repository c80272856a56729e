"""Where a mailbox lies: the action's path with checked parts put in; no address ever leads outside its folder."""

import re
from typing import Final

from paquebot_mta.mail.envelope import Envelope

_PLACEHOLDER: Final = re.compile(r"%\{(user|domain|extension)\}")
NAME_BYTES: Final = 255
"""Longest name of a file (NAME_MAX)."""


class PathPartError(ValueError):
    """An address has a part that can't stand in a path."""


def mailbox_path(template: str, envelope: Envelope) -> str:
    """Put user, domain and extension into the path of a maildir or mbox.

    Raises:
        PathPartError: a part is unfit, or a name in the path becomes empty or too long.
    """
    local_part, _, domain = envelope.destination.rpartition("@")
    parts = {"user": envelope.user or local_part, "domain": domain, "extension": envelope.extension}
    path = _PLACEHOLDER.sub(lambda found: checked_part(parts[found.group(1)]), template)
    for pattern, name in zip(template.split("/"), path.split("/"), strict=True):
        if len(name.encode()) > NAME_BYTES or (pattern and name in {"", ".", ".."}):
            raise PathPartError("unfit name in a mailbox path")
    return path


def checked_part(part: str) -> str:
    """Give the part back if it may stand in a path: no slash, no control character, no leading dot.

    Raises:
        PathPartError: it may not.
    """
    if "/" in part or part.startswith(".") or not part.isprintable() or len(part.encode()) > NAME_BYTES:
        raise PathPartError(f"unfit for a mailbox path: {part!r}")
    return part
