"""What filters answered, one by one; the report events say only how a phase ended."""

from msgspec import Struct


class FilterAnswer(Struct, frozen=True, kw_only=True, gc=False):
    """A filter decided; a built-in one whose condition does not hold has nothing to decide and makes no event.

    Attributes:
        phase: as in the protocol, ``data-line`` for a message's content.
        response: ``proceed``, ``junk``, ``rewrite``, ``reject``, ``disconnect``, ``bypass`` or ``report``.
        shadow: it is only noted, not done.
        duration_seconds: from question to answer.
    """

    filter: str
    phase: str
    response: str
    shadow: bool = False
    session: str = ""
    builtin: bool = False
    duration_seconds: float = 0.0


class FilterFault(Struct, frozen=True, kw_only=True, gc=False):
    """A filter gave no answer that can be used; ``cause`` is for people."""

    filter: str
    phase: str
    reason: str
    session: str = ""
    cause: str = ""
