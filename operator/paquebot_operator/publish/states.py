"""What DNS has of the records that it should have."""

import asyncio
from dataclasses import dataclass
from typing import Literal

from paquebot_operator.publish.questions import Answer, Asks
from paquebot_operator.publish.records import DnsRecord, Purpose

State = Literal["Present", "Missing", "Different", "Unknown"]
MAX_FOUND_CHARACTERS = 1_024

_VERSIONS: dict[Purpose, str] = {
    "SPF": "v=spf1",
    "DKIM": "",
    "DMARC": "v=DMARC1",
    "MTA-STS": "v=STSv1",
    "TLSRPT": "v=TLSRPTv1",
}
"""How a text of a purpose begins; beside an SPF record there are often texts that have nothing to do with mail."""


@dataclass(frozen=True)
class RecordState:
    """A record and what was found.

    Attributes:
        state: ``Different``: something else is there for this purpose. ``Unknown``: nobody could say.
        found: what is there instead, or why nobody could say; for people, bounded, without control characters.
    """

    record: DnsRecord
    state: State
    found: str = ""


async def check(records: tuple[DnsRecord, ...], resolver: Asks) -> tuple[RecordState, ...]:
    """Look all records up, each name and type once, at the same time; in the order of ``records``.

    It lasts as long as the resolver's deadline for one question, and never raises for what DNS says.
    """
    questions = list(dict.fromkeys((record.name, record.type) for record in records))
    answers = await asyncio.gather(*(resolver.ask(name, rdtype) for name, rdtype in questions))
    of = dict(zip(questions, answers, strict=True))
    return tuple(judge(record, of[record.name, record.type]) for record in records)


def judge(record: DnsRecord, answer: Answer) -> RecordState:
    """Compare a record with what DNS says."""
    if answer.status == "Unavailable":
        return RecordState(record, "Unknown", answer.reason)
    if record.type == "MX":
        return _judge_mx(record, answer.records)
    return _judge_text(record, answer.records)


def _judge_mx(record: DnsRecord, found: tuple[str, ...]) -> RecordState:
    """Other hosts beside ours are the domain's own business."""
    if record.value in found:
        return RecordState(record, "Present")
    return RecordState(record, "Different", _shown(found)) if found else RecordState(record, "Missing")


def _judge_text(record: DnsRecord, found: tuple[str, ...]) -> RecordState:
    """One text of the purpose: two SPF or DMARC records are as good as none (RFC 7208, 4.5; RFC 7489, 6.6.3)."""
    begin = _VERSIONS[record.purpose].lower()
    same_purpose = tuple(text for text in found if _begins(text.lower(), begin))
    if not same_purpose:
        return RecordState(record, "Missing")
    meaning = _spf_terms if record.purpose == "SPF" else _tags
    if len(same_purpose) == 1 and meaning(same_purpose[0]) == meaning(record.value):
        return RecordState(record, "Present")
    return RecordState(record, "Different", _shown(same_purpose))


def _begins(text: str, begin: str) -> bool:
    return text.startswith(begin) and text[len(begin) : len(begin) + 1] in ("", " ", ";") if begin else True


def _spf_terms(text: str) -> object:
    """Terms in order; names in them are not case-sensitive (RFC 7208, 4.6.1)."""
    return text.lower().split()


def _tags(text: str) -> object:
    """Tags and values of a tag-list; order and white space mean nothing (RFC 6376, 3.2)."""
    pairs = (part.partition("=") for part in text.split(";") if part.strip())
    return {name.strip(): "".join(value.split()) for name, _, value in pairs}


def _shown(found: tuple[str, ...]) -> str:
    return " | ".join(found)[:MAX_FOUND_CHARACTERS]
