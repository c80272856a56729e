"""What the checks ask of DNS: a Protocol, so that they know no resolver."""

from dataclasses import dataclass
from typing import Literal, Protocol

RecordType = Literal["MX", "TXT"]
AnswerStatus = Literal["Found", "Absent", "Unavailable"]


@dataclass(frozen=True)
class Answer:
    """What DNS said about one name and type.

    Attributes:
        status: ``Found`` has records; ``Absent``: there is no such name, or none of the type (a fact, RFC 2308);
            ``Unavailable``: nobody could say (SERVFAIL, no answer in time).
        records: data in presentation form, sorted: ``10 mx.example.test`` for MX, the strings of a record joined for
            TXT; without control characters.
        reason: why it is unavailable, for people.
    """

    status: AnswerStatus
    records: tuple[str, ...] = ()
    reason: str = ""


class Asks(Protocol):
    """Asks DNS."""

    async def ask(self, name: str, rdtype: RecordType) -> Answer:
        """Ask for an absolute name; ends within a deadline of its own and never raises for what DNS says."""
        ...
