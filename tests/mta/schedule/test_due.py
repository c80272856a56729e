"""Rules of the heap of due times."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from paquebot_mta.mail.ids import Evpid
from paquebot_mta.schedule.due import Schedule

A, B, C = Evpid("a" * 16), Evpid("b" * 16), Evpid("c" * 16)


def test_nothing_is_given_out_before_its_time() -> None:
    schedule = Schedule()
    schedule.add(A, 10.0)
    assert schedule.take(9.9, 5) == []
    assert schedule.take(10.0, 5) == [A]


def test_the_oldest_due_time_comes_first_and_equal_ones_in_order_of_arrival() -> None:
    schedule = Schedule()
    for evpid, due in ((B, 5.0), (A, 5.0), (C, 1.0)):
        schedule.add(evpid, due)
    assert schedule.take(6.0, 2) == [C, B]
    assert schedule.take(6.0, 2) == [A]


def test_an_envelope_in_flight_is_not_given_out_again() -> None:
    schedule = Schedule()
    schedule.add(A, 0.0)
    assert schedule.take(1.0, 1) == [A]
    assert schedule.hasten([A], 1.0) == 0
    assert schedule.take(1.0, 1) == []


def test_a_flush_makes_pending_envelopes_due_at_once() -> None:
    schedule = Schedule()
    schedule.add(A, 1e9)
    assert schedule.hasten([A, B], 5.0) == 1
    assert schedule.take(5.0, 9) == [A]


def test_a_suspended_envelope_waits_for_resume_and_keeps_its_time() -> None:
    schedule = Schedule()
    schedule.add(A, 3.0)
    assert schedule.suspend(A)
    assert schedule.take(9.0, 9) == []
    assert schedule.due_at(A) == 3.0
    assert schedule.resume(A)
    assert schedule.take(9.0, 9) == [A]


def test_leftovers_of_changed_times_do_not_pile_up() -> None:
    schedule = Schedule()
    for turn in range(10_000):
        schedule.add(A, float(turn))
    assert len(schedule._heap) < 100


class Model(RuleBasedStateMachine):
    """The schedule against plain dictionaries."""

    def __init__(self) -> None:
        super().__init__()
        self.schedule = Schedule()
        self.pending: dict[Evpid, float] = {}
        self.suspended: dict[Evpid, float] = {}

    @rule(evpid=st.sampled_from([A, B, C]), due=st.integers(0, 9))
    def add(self, evpid: Evpid, due: int) -> None:
        self.schedule.add(evpid, float(due))
        self.suspended.pop(evpid, None)
        self.pending[evpid] = float(due)

    @rule(now=st.integers(0, 9), limit=st.integers(1, 3))
    def take(self, now: int, limit: int) -> None:
        taken = self.schedule.take(float(now), limit)
        due = sorted(value for value in self.pending.values() if value <= now)
        assert [self.pending[evpid] for evpid in taken] == due[:limit]
        for evpid in taken:
            del self.pending[evpid]

    @rule(evpid=st.sampled_from([A, B, C]))
    def suspend(self, evpid: Evpid) -> None:
        assert self.schedule.suspend(evpid) == (evpid in self.pending)
        if evpid in self.pending:
            self.suspended[evpid] = self.pending.pop(evpid)

    @rule(evpid=st.sampled_from([A, B, C]))
    def resume(self, evpid: Evpid) -> None:
        assert self.schedule.resume(evpid) == (evpid in self.suspended)
        if evpid in self.suspended:
            self.pending[evpid] = self.suspended.pop(evpid)

    @rule(evpid=st.sampled_from([A, B, C]))
    def forget(self, evpid: Evpid) -> None:
        self.schedule.forget(evpid)
        self.pending.pop(evpid, None)
        self.suspended.pop(evpid, None)

    @invariant()
    def knows_the_next_due_time(self) -> None:
        assert self.schedule.next_due() == min(self.pending.values(), default=None)
        assert self.schedule.counts()["pending"] == len(self.pending)


TestModel = Model.TestCase
TestModel.settings = settings(max_examples=50, deadline=None)
