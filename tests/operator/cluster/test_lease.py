"""One holder at a time, whatever its clock says."""

from datetime import UTC, datetime

import pytest

from paquebot_operator.cluster.errors import BusyError
from paquebot_operator.cluster.lease import DURATION_SECONDS, Clocks, Lease, LeaseLostError
from paquebot_operator.cluster.resources import LEASES, Place
from tests.operator.control.fake_cluster import FakeCluster

PLACE = Place("system", "paquebot-operator")


class Time:
    """A clock that moves when somebody sleeps; `then` happens after each sleep."""

    def __init__(self) -> None:
        self.now = 100.0
        self.then: list[object] = []
        self.naps = 0

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.naps += 1
        if self.naps > 50:
            raise RuntimeError("slept for ever")

    def clocks(self) -> Clocks:
        return Clocks(lambda: self.now, lambda: datetime(2026, 6, 1, tzinfo=UTC), self.sleep)


@pytest.fixture
def cluster() -> FakeCluster:
    return FakeCluster()


def holder(cluster: FakeCluster) -> str:
    return str(cluster.objects[LEASES, PLACE]["spec"]["holderIdentity"])


async def test_the_first_takes_it_and_the_second_waits_for_its_end(cluster: FakeCluster) -> None:
    first, second = Time(), Time()
    await Lease(cluster, PLACE, "first", first.clocks()).acquire()
    assert holder(cluster) == "first"
    await Lease(cluster, PLACE, "second", second.clocks()).acquire()
    assert holder(cluster) == "second"
    assert second.now - 100.0 > DURATION_SECONDS


async def test_a_lease_that_is_let_go_is_free_at_once(cluster: FakeCluster) -> None:
    first, second = Lease(cluster, PLACE, "first", Time().clocks()), Time()
    await first.acquire()
    await first.release()
    await Lease(cluster, PLACE, "second", second.clocks()).acquire()
    assert second.naps == 0


async def test_who_was_overtaken_stops(cluster: FakeCluster) -> None:
    first = Lease(cluster, PLACE, "first", Time().clocks())
    await first.acquire()
    await Lease(cluster, PLACE, "second", Time().clocks()).acquire()
    with pytest.raises(LeaseLostError):
        await first.hold()


async def test_who_cannot_renew_stops_before_another_may_begin(cluster: FakeCluster) -> None:
    time = Time()
    lease = Lease(cluster, PLACE, "first", time.clocks())
    await lease.acquire()
    cluster.trouble = lambda verb, plural: BusyError(0, "no answer")
    with pytest.raises(LeaseLostError):
        await lease.hold()
    assert time.now - 100.0 < DURATION_SECONDS


async def test_who_was_paused_for_too_long_may_not_write(cluster: FakeCluster) -> None:
    time = Time()
    lease = Lease(cluster, PLACE, "first", time.clocks())
    await lease.acquire()
    assert lease.is_held()
    time.now += DURATION_SECONDS
    assert not lease.is_held()


async def test_an_edit_by_a_person_costs_nobody_the_lease(cluster: FakeCluster) -> None:
    time = Time()
    lease = Lease(cluster, PLACE, "first", time.clocks())
    await lease.acquire()
    cluster.put(cluster.objects[LEASES, PLACE])
    with pytest.raises(RuntimeError, match="for ever"):
        await lease.hold()
    assert holder(cluster) == "first"
