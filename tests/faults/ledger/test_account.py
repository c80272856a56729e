"""The oracle of the ledger finds what is wrong, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice

import pytest

from tests.faults.ledger.account import Account, Point, account
from tests.faults.ledger.plan import KINDS, Kind, Plan, strikes
from tests.faults.ledger.sink import TAKEN, UNKNOWN, Arrival
from tests.support.load import Witness

ONE = Arrival("a-1x", "digest", "pod-0.test", 100.0, is_notification=False)
TWICE = (ONE, replace(ONE, by="pod-1.test", at=103.0))
NOTICE = Arrival("b-1x", "", "pod-1.test", 100.0, is_notification=True)


def witness(*acked: str) -> Witness:
    recipients = {token: UNKNOWN if token.startswith("b") else TAKEN for token in acked}
    return Witness(sent=dict.fromkeys(acked, "digest"), acked=dict.fromkeys(acked, "digest"), recipients=recipients)


def struck(kind: Kind, pod: int = 0, at: float = 100.5) -> Point:
    return Point(kind, frozenset({f"pod-{pod}.test"}), at, at + 0.1)


def books(
    *arrivals: Arrival, points: tuple[Point, ...] = (), possible: int = 0, queued: tuple[str, ...] = ()
) -> Account:
    return account(witness("a-1x", "b-1x"), arrivals, queued, points, possible)


def test_all_that_was_accepted_and_has_ended_is_in_order() -> None:
    found = books(ONE, NOTICE)
    assert (found.accepted, found.delivered, found.bounced, found.faults) == (2, 1, 1, ())


def test_what_neither_arrived_nor_waits_is_lost() -> None:
    assert books(ONE).lost == 1
    assert books(ONE).faults == ("lost",)


def test_what_waits_is_not_lost() -> None:
    found = books(ONE, queued=("b-1x",))
    assert (found.lost, found.queued, found.faults) == (0, 1, ())


def test_another_body_is_altered() -> None:
    assert books(replace(ONE, digest="other"), NOTICE).faults == ("altered",)


def test_what_nobody_sent_is_a_stranger() -> None:
    assert books(ONE, NOTICE, replace(ONE, token="c-1x")).faults == ("strangers",)


def test_a_duplicate_is_explained_by_a_strike_at_who_brought_the_first_copy() -> None:
    assert books(*TWICE, NOTICE, points=(struck("kill"),), possible=1).faults == ()


@pytest.mark.parametrize("points", [(), (struck("kill", pod=1),), (struck("kill", at=110.0),)])
def test_a_duplicate_is_not_explained_by_other_strikes(points: tuple[Point, ...]) -> None:
    assert books(*TWICE, NOTICE, points=points, possible=1).unexplained == 1


def test_a_duplicate_is_explained_by_a_pause_of_who_woke_and_sent_its_final_dot_after_its_heir() -> None:
    paused = Point("stop", frozenset({"pod-1.test"}), 85.0, 102.5)
    assert books(*TWICE, NOTICE, points=(paused,), possible=1).faults == ()
    assert books(*TWICE, NOTICE, points=(paused,)).faults == ("uncounted duplicates",)


@pytest.mark.parametrize(
    "point",
    [
        Point("stop", frozenset({"pod-1.test"}), 100.5, 102.5),
        Point("stop", frozenset({"pod-1.test"}), 85.0, 99.0),
        Point("stop", frozenset({"pod-2.test"}), 85.0, 102.5),
        Point("drain", frozenset({"pod-1.test"}), 85.0, 102.5),
    ],
)
def test_a_duplicate_is_not_explained_by_other_pauses(point: Point) -> None:
    assert books(*TWICE, NOTICE, points=(point,), possible=1).unexplained == 1


@pytest.mark.parametrize("kind", ["kill", "error", "permissions"])
def test_more_duplicates_than_were_counted_are_told(kind: Kind) -> None:
    assert books(*TWICE, NOTICE, points=(struck(kind),)).faults == ("uncounted duplicates",)


@pytest.mark.parametrize("kind", ["full", "power"])
def test_what_could_not_be_counted_may_be_uncounted(kind: Kind) -> None:
    assert books(*TWICE, NOTICE, points=(struck(kind),)).faults == ()


def test_mail_that_ended_in_the_wrong_way_is_not_explained() -> None:
    delivered = replace(ONE, token="b-1x")
    notified = replace(NOTICE, token="a-1x")
    assert books(delivered, notified).unexplained == 2


def test_takeovers_are_told_by_quantiles() -> None:
    points = tuple(replace(struck("kill"), takeover_seconds=float(number)) for number in range(100))
    found = books(ONE, NOTICE, points=points)
    assert (found.measured, found.takeover_p50_seconds, found.takeover_p99_seconds) == (100, 50.0, 99.0)


def test_a_seed_gives_the_same_strikes_and_each_kind_early() -> None:
    plan = Plan(seed=7)
    first = list(islice(strikes(plan), 50))
    assert first == list(islice(strikes(plan), 50))
    assert first != list(islice(strikes(Plan(seed=8)), 50))
    assert {each.kind for each in first[: len(KINDS)]} == set(KINDS)


@pytest.mark.parametrize(("seconds", "faults"), [(14.0, ()), (16.0, ("late takeovers",))])
def test_of_very_many_takeovers_all_but_one_in_a_hundred_are_in_time(seconds: float, faults: tuple[str, ...]) -> None:
    points = [replace(struck("kill"), takeover_seconds=2.0) for _ in range(200)]
    points += [replace(struck("kill"), takeover_seconds=seconds) for _ in range(5)]
    assert books(ONE, NOTICE, points=tuple(points)).faults == faults
