"""Owner blocks as a forest, the place of each watcher, and when a beat counts as still."""

from hypothesis import given
from hypothesis import strategies as st

from paquebot_mta.spool.forest import rank_of, root_of, roots_of
from paquebot_mta.spool.liveness import Liveness
from paquebot_mta.spool.owner import Owner

NAMES = [f"{number:016x}" for number in range(8)]


@given(st.dictionaries(st.sampled_from(NAMES), st.sampled_from([*NAMES, "gone"])))
def test_every_incarnation_has_exactly_one_root_and_all_on_a_way_share_it(blocks: dict[str, str]) -> None:
    owners = {name: Owner(owner) for name, owner in blocks.items()}
    for name, owner in owners.items():
        root = root_of(name, owners)
        assert root in owners
        assert root_of(root, owners) == root
        if owner.owner in owners:
            assert root_of(owner.owner, owners) == root


def test_a_block_that_leads_nowhere_makes_a_root() -> None:
    owners = {"a": Owner("gone"), "b": None, "c": Owner("b")}
    assert roots_of(owners) == {"a", "b"}


@given(st.sets(st.sampled_from(NAMES), min_size=1), st.sampled_from(["x", "y", "z"]))
def test_all_watchers_agree_on_their_order(living: set[str], dead: str) -> None:
    ranks = [rank_of(us, dead, living - {us}) for us in living]
    assert sorted(ranks) == list(range(len(living)))


def test_the_dead_are_spread_among_the_living() -> None:
    firsts = {rank_of("a", f"dead {number}", ["a", "b", "c"]) for number in range(50)}
    assert firsts == {0, 1, 2}


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def look(liveness: Liveness, clock: Clock, beat: int, seconds: float) -> None:
    clock.now += seconds
    liveness.look({"a": Owner("a", beat=beat)})


def test_a_beat_that_stands_still_counts_as_silence_and_a_new_one_ends_it() -> None:
    clock = Clock()
    liveness = Liveness(15.0, 3.0, clock)
    look(liveness, clock, 1, 100.0)
    for _ in range(14):
        look(liveness, clock, 1, 1.0)
    assert not liveness.is_silent("a")
    look(liveness, clock, 1, 1.0)
    assert liveness.is_silent("a")
    look(liveness, clock, 2, 1.0)
    assert liveness.silent_seconds("a") == 0.0


def test_time_in_which_nobody_looked_proves_nothing() -> None:
    clock = Clock()
    liveness = Liveness(15.0, 3.0, clock)
    look(liveness, clock, 1, 1.0)
    look(liveness, clock, 1, 3_600.0)
    assert liveness.silent_seconds("a") == 3.0


def test_what_was_never_seen_is_not_silent() -> None:
    assert not Liveness(15.0, 3.0, Clock()).is_silent("a")
