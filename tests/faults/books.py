"""The books of a crash test: what was acknowledged against what arrived. Pure; this is the oracle, and it can fail."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, fields

from tests.support.load import Witness, digest

_TOKEN = re.compile(rb"^Subject: ([a-z0-9-]+x)\r?$", re.MULTILINE)


@dataclass(frozen=True)
class Balance:
    """The counts of a run, in messages.

    Attributes:
        kills: how often the process was killed.
        sent: sent whole, up to the final dot.
        accepted: of these, acknowledged by a 250.
        unanswered: of these, those whose reply the crash has swallowed.
        refused: answered, but not by a 250.
        delivered: different messages that arrived.
        queued: envelopes that still wait.
        duplicates: copies beyond the first.
        possible_duplicates: deliveries whose outcome a crash left open, as Paquebot itself has counted them.
        altered: copies whose body is not what was sent.
        strangers: copies of what nobody has sent.
        lost: acknowledged, but neither delivered nor queued.
    """

    kills: int
    sent: int
    accepted: int
    unanswered: int
    refused: int
    delivered: int
    queued: int
    duplicates: int
    possible_duplicates: int
    altered: int
    strangers: int
    lost: int

    def table(self) -> str:
        """Spell the counts for people."""
        return "".join(f"  {each.name:<20}{getattr(self, each.name):>8}\n" for each in fields(self))


def balance(
    witness: Witness, copies: Iterable[bytes], queued: Iterable[bytes], *, kills: int = 0, possible_duplicates: int = 0
) -> Balance:
    """Balance what a load client saw with all copies that arrived, and the contents that are still queued."""
    arrived: Counter[str] = Counter()
    altered = 0
    for copy in copies:
        token = token_of(copy)
        arrived[token] += 1
        altered += token in witness.sent and body_digest(copy) != witness.sent[token]
    waiting = [token_of(content) for content in queued]
    known = arrived.keys() | set(waiting)
    return Balance(
        kills=kills,
        sent=len(witness.sent),
        accepted=len(witness.acked),
        unanswered=len(witness.unknown),
        refused=len(witness.refused),
        delivered=len(arrived),
        queued=len(waiting),
        duplicates=sum(arrived.values()) - len(arrived),
        possible_duplicates=possible_duplicates,
        altered=altered,
        strangers=len(arrived.keys() - witness.sent.keys()),
        lost=len(witness.acked.keys() - known),
    )


def token_of(copy: bytes) -> str:
    """Return a copy's token, empty if it has none."""
    found = _TOKEN.search(copy)
    return found[1].decode() if found else ""


def body_digest(copy: bytes) -> str:
    """Return the sha256 of a copy's body."""
    return digest(re.split(rb"\r?\n\r?\n", copy, maxsplit=1)[-1])
