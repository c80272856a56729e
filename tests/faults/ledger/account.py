"""The books of a ledger: every acknowledged message against what became of it. Pure; the oracle, which can fail."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise

from tests.faults.ledger.plan import Kind
from tests.faults.ledger.sink import SLOW_SECONDS, UNKNOWN, Arrival
from tests.support.load import Witness

NEAR_SECONDS = SLOW_SECONDS + 1.0
"""A delivery that was under way when a process was struck may be noted so long before or after."""
_FULL: tuple[Kind, ...] = ("full",)


@dataclass(frozen=True)
class Point:
    """One crash point.

    Attributes:
        hit: names of the processes that it hit, as they say in EHLO.
        began_at, ended_at: monotonic seconds.
        takeover_seconds: from the death to the first delivery of the dead one's mail by another; None if not measured.
        overdue: it was measured, and nothing came in time.
    """

    kind: Kind
    hit: frozenset[str]
    began_at: float
    ended_at: float
    takeover_seconds: float | None = None
    overdue: bool = False


MEASURED_FOR_P99 = 100
"""Takeovers; of fewer the slowest one is the p99, and that may have met a busy machine."""
TAKEOVER_P99_SECONDS = 15.0


@dataclass(frozen=True)
class Account:
    """The counts, in messages.

    Attributes:
        points: crash points, of all kinds.
        accepted: acknowledged by a 250; ``unanswered``: sent whole, but no reply came; ``refused``: another reply.
        delivered: acknowledged and arrived; ``bounced``: acknowledged and the sender was notified.
        queued: acknowledged and still waiting at the end.
        unanswered_delivered: of those without a reply, arrived or notified of.
        duplicates: copies beyond the first, of messages and of notifications.
        possible_duplicates: INTENT without RESULT, as the processes have counted.
        uncountable: duplicates of a process whose volume was full, so that perhaps no INTENT could be written; and one
            for each process that a power loss hit, as INTENT records are synced some milliseconds late.
        notified_twice: of the duplicates, notifications; a process died between a notification and its result.
        unexplained: other duplicates whose earlier copy was brought by a process that nothing had struck around then,
            unless the later one was brought by who was paused before that and has just woken; and messages that were
            notified of though they could be delivered, or the other way round.
        altered: copies whose body isn't what was sent.
        strangers: copies of what nobody sent.
        lost: acknowledged, and nothing became of it.
        measured, overdue: takeovers after a death, and those that took too long to wait for.
    """

    points: int
    accepted: int
    unanswered: int
    refused: int
    delivered: int
    bounced: int
    queued: int
    unanswered_delivered: int
    duplicates: int
    possible_duplicates: int
    uncountable: int
    notified_twice: int
    unexplained: int
    altered: int
    strangers: int
    lost: int
    measured: int
    overdue: int
    takeover_p50_seconds: float
    takeover_p99_seconds: float
    takeover_most_seconds: float

    @property
    def faults(self) -> tuple[str, ...]:
        """Name what may not be."""
        wrong = [name for name in ("lost", "altered", "strangers", "unexplained", "overdue") if getattr(self, name)]
        is_late = self.measured >= MEASURED_FOR_P99 and self.takeover_p99_seconds > TAKEOVER_P99_SECONDS
        uncounted = self.duplicates > self.possible_duplicates + self.uncountable
        return (*wrong, *(["uncounted duplicates"] if uncounted else []), *(["late takeovers"] if is_late else []))

    def table(self) -> str:
        """Spell it for people."""
        return "".join(f"  {each.name.replace('_', ' '):<24}{getattr(self, each.name):>10}\n" for each in fields(self))


def account(
    witness: Witness,
    arrivals: Sequence[Arrival],
    queued: Collection[str],
    points: Sequence[Point],
    possible_duplicates: int,
) -> Account:
    """Balance what the clients saw with what arrived and what still waits (tokens)."""
    copies, notices = _by_token(arrivals, notifications=False), _by_token(arrivals, notifications=True)
    acked, unknown = witness.acked.keys(), witness.unknown
    ended = copies.keys() | notices.keys()
    known = {token: found for token, found in copies.items() if token in witness.sent}
    takeovers = sorted(point.takeover_seconds for point in points if point.takeover_seconds is not None)
    return Account(
        points=len(points),
        accepted=len(acked),
        unanswered=len(unknown),
        refused=len(witness.refused),
        delivered=len(acked & copies.keys()),
        bounced=len(acked & notices.keys()),
        queued=len((acked & set(queued)) - ended),
        unanswered_delivered=len(unknown & ended),
        duplicates=_beyond_first(known) + _beyond_first(notices),
        possible_duplicates=possible_duplicates,
        uncountable=_uncountable(known.values(), points),
        notified_twice=_beyond_first(notices),
        unexplained=_unexplained(known.values(), points) + _misled(witness, copies, notices),
        altered=sum(each.digest != witness.sent[token] for token, found in known.items() for each in found),
        strangers=len(ended - witness.sent.keys()),
        lost=len(acked - ended - set(queued)),
        measured=len(takeovers),
        overdue=sum(point.overdue for point in points),
        takeover_p50_seconds=_share(takeovers, 0.5),
        takeover_p99_seconds=_share(takeovers, 0.99),
        takeover_most_seconds=_share(takeovers, 1.0),
    )


def riddles(witness: Witness, arrivals: Sequence[Arrival], points: Sequence[Point]) -> list[str]:
    """Tell of each unexplained message: who brought it when, and what was struck before and after; seconds."""
    copies, notices = _by_token(arrivals, notifications=False), _by_token(arrivals, notifications=True)
    told = [f"{token}: notified of" for token in notices if _misled(witness, {}, {token: notices[token]})]
    told += [f"{token}: delivered" for token in copies if _misled(witness, {token: copies[token]}, {})]
    for token, found in copies.items():
        if token in witness.sent and _unexplained([found], points):
            brought = ", ".join(f"{each.by} {each.at:.1f}" for each in found)
            first, last = found[0].at - 30.0, found[-1].at + 5.0
            near = [each for each in points if each.ended_at > first and each.began_at < last]
            struck = ", ".join(
                f"{each.kind} {sorted(each.hit)} {each.began_at:.1f}-{each.ended_at:.1f}" for each in near
            )
            told.append(f"{token}: brought by {brought}; struck: {struck}")
    return told


def kinds_table(points: Iterable[Point]) -> str:
    """Count the crash points by kind."""
    counts = Counter(point.kind for point in points)
    return "".join(f"  {kind:<24}{count:>10}\n" for kind, count in counts.most_common())


def _by_token(arrivals: Sequence[Arrival], *, notifications: bool) -> dict[str, list[Arrival]]:
    found = defaultdict[str, list[Arrival]](list)
    for each in arrivals:
        if each.is_notification is notifications:
            found[each.token].append(each)
    return dict(found)


def _beyond_first(found: dict[str, list[Arrival]]) -> int:
    return sum(len(each) - 1 for each in found.values())


def _unexplained(groups: Iterable[list[Arrival]], points: Sequence[Point]) -> int:
    """Count copies that were followed by another one, though nothing happened to who brought them."""
    pairs = (pair for group in groups for pair in pairwise(group))
    return sum(not (_was_struck(earlier, points) or _woke_late(earlier, later, points)) for earlier, later in pairs)


def _woke_late(earlier: Arrival, later: Arrival, points: Sequence[Point]) -> bool:
    """Whether an heir brought the earlier copy while the later one's bringer was paused, which then went on.

    Paused between its look at the owner block and the final dot, it finds the dot first: the window that no queue on a
    shared volume can close. Its heir has found its INTENT, and counted it.
    """
    return any(
        point.kind == "stop"
        and later.by in point.hit
        and later.by != earlier.by
        and point.began_at <= earlier.at <= later.at <= point.ended_at + NEAR_SECONDS
        for point in points
    )


def _uncountable(groups: Iterable[list[Arrival]], points: Sequence[Point]) -> int:
    speechless = [point for point in points if point.kind in _FULL]
    swallowed = sum(len(point.hit) for point in points if point.kind == "power")
    return swallowed + sum(_was_struck(earlier, speechless) for group in groups for earlier in group[:-1])


def _was_struck(arrival: Arrival, points: Sequence[Point]) -> bool:
    return any(
        arrival.by in point.hit and point.began_at - NEAR_SECONDS <= arrival.at <= point.ended_at + NEAR_SECONDS
        for point in points
    )


def _misled(witness: Witness, copies: dict[str, list[Arrival]], notices: dict[str, list[Arrival]]) -> int:
    """Count what ended in the way that is meant for others."""
    delivered = (witness.recipients.get(token) == UNKNOWN for token in copies)
    notified = (witness.recipients.get(token, UNKNOWN) != UNKNOWN for token in notices)
    return sum(delivered) + sum(notified)


def _share(values: Sequence[float], share: float) -> float:
    """Return the quantile of sorted values; 0 if there are none."""
    return round(values[min(int(len(values) * share), len(values) - 1)], 2) if values else 0.0
