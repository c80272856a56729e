"""What the API server may answer instead of an object, as types: callers decide by type, never by text."""

from typing import Final

import msgspec

NOT_FOUND: Final = 404
CONFLICT: Final = 409
GONE: Final = 410
TOO_MANY: Final = 429
UNAVAILABLE: Final = 503


class ClusterError(Exception):
    """A call failed.

    Attributes:
        status: of HTTP, 0 if there was no answer.
        reason: what the API server said, never a value of an object.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(f"{status} {reason}" if status else reason)
        self.status = status
        self.reason = reason


class AbsentError(ClusterError):
    """There is no such object, or no such resource."""


class ConflictError(ClusterError):
    """Somebody else wrote first, or the object is there already."""


class ExpiredError(ClusterError):
    """A list went on for too long: begin again."""


class DeniedError(ClusterError):
    """Not allowed to this operator: its Role, or a quota, or admission."""


class RefusedError(ClusterError):
    """The API server will not take this object, however often it is sent."""


class BusyError(ClusterError):
    """No answer in time, or too many requests, or a server in trouble: try again.

    Attributes:
        retry_after_seconds: as the API server asked for, else 0.
    """

    def __init__(self, status: int, reason: str, retry_after_seconds: float = 0.0) -> None:
        super().__init__(status, reason)
        self.retry_after_seconds = retry_after_seconds


class _Status(msgspec.Struct):
    message: str = ""
    reason: str = ""


_KINDS: Final[dict[int, type[ClusterError]]] = {
    401: DeniedError,
    403: DeniedError,
    NOT_FOUND: AbsentError,
    CONFLICT: ConflictError,
    GONE: ExpiredError,
}


def error_of(status: int, body: bytes, retry_after: str | None) -> ClusterError:
    """Make the error of an answer; ``retry_after`` is the header's text."""
    try:
        said = msgspec.json.decode(body, type=_Status)
    except msgspec.MsgspecError:
        said = _Status()
    reason = (said.message or said.reason or "no reason given")[:500]
    if status in (TOO_MANY, 408) or status >= 500:
        return BusyError(status, reason, _seconds(retry_after))
    return _KINDS.get(status, RefusedError)(status, reason)


def _seconds(text: str | None) -> float:
    """RFC 9110, 10.2.3: the API server uses seconds, never a date."""
    return float(text) if text is not None and text.isdecimal() and len(text) < 6 else 0.0
