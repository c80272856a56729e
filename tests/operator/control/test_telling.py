"""When statuses are written: what people must know at once, the rest with what pods say, nothing stale."""

from __future__ import annotations

import asyncio

import pytest

from paquebot_operator.cluster.errors import BusyError
from paquebot_operator.cluster.pods import PodConfig
from paquebot_operator.cluster.resources import EVENTS, MAIL_DOMAINS, MAIL_SERVICES, PODS, SECRETS, Place
from paquebot_operator.compile.objects import ObjectKey
from paquebot_operator.control.withheld import Withheld
from tests.support.dns_server import DnsServer

from .fake_cluster import FakeCluster, Write, refusing
from .pool import (
    SERVICE,
    Pool,
    pod_manifest,
    programmed,
    quiet_service,
    service_ready,
    small_domain,
    until,
    working,
    writes_of,
)

ONE, TWO = Place("default", "one"), Place("default", "two")
LONG_SECONDS = 60.0
SLOW_SECONDS = 0.1


class SlowPool(Pool):
    """Pods that take a while to answer, so that a change is under way for some time."""

    async def ask(self, address: str, port: int) -> PodConfig | None:
        await asyncio.sleep(SLOW_SECONDS)
        return await super().ask(address, port)


@pytest.fixture
def pool(cluster: FakeCluster) -> Pool:
    return SlowPool(cluster)


def told(cluster: FakeCluster, place: Place, type_: str = "Programmed") -> tuple[str, str]:
    return cluster.condition(MAIL_DOMAINS, place, type_)


def statuses(cluster: FakeCluster, name: str) -> int:
    return cluster.writes.count(Write("status", "maildomains", name))


async def ready(cluster: FakeCluster, pool: Pool) -> None:
    """One pod that runs the service's configuration; nothing was written yet but for that."""
    pool.add("pod-0")
    await until(lambda: service_ready(cluster), "ready")
    cluster.writes.clear()


async def become(cluster: FakeCluster, *, ready: bool) -> None:
    """The pod becomes ready, or is so no more."""
    await cluster.apply_status(PODS, Place("default", "pod-0"), pod_manifest("pod-0", ready=ready)["status"])


async def test_a_domain_that_changes_all_the_time_costs_one_status_a_change(cluster: FakeCluster, pool: Pool) -> None:
    cluster.put(quiet_service())
    async with working(cluster, pool):
        await ready(cluster, pool)
        for number in range(1, 9):
            changed = cluster.put(small_domain("one", mailboxes=["postmaster", f"user{number}"]))
            revision = changed["metadata"]["generation"]
            await until(
                lambda revision=revision: (
                    programmed(cluster, "one")  # type: ignore[misc]
                    and cluster.status(MAIL_DOMAINS, ONE)["observedGeneration"] == revision
                ),
                "programmed",
            )
            assert statuses(cluster, "one") == number
        assert {each.name.split(".")[0] for each in writes_of(cluster, EVENTS.plural)} <= {"one"}


async def test_what_is_found_in_dns_meanwhile_costs_no_status_of_its_own(cluster: FakeCluster, pool: Pool) -> None:
    async with DnsServer({}) as dns:
        host, port = dns.address
        cluster.put(quiet_service(dnsCheck={"mode": "Enabled", "servers": [f"{host}:{port}"]}))
        async with working(cluster, pool, grace_seconds=LONG_SECONDS):
            await ready(cluster, pool)
            pool.deaf.add("pod-0")
            cluster.put(small_domain("one"))
            await until(lambda: dns.queries, "looked up")
            await asyncio.sleep(SLOW_SECONDS)
            assert statuses(cluster, "one") == 0
            pool.deaf.clear()
            await until(lambda: programmed(cluster, "one"), "programmed")
            assert told(cluster, ONE, "DNSReady")[0] == "False"
            assert statuses(cluster, "one") == 1


async def test_what_is_found_in_dns_later_is_told_at_once(cluster: FakeCluster, pool: Pool) -> None:
    async with DnsServer({}) as dns:
        host, port = dns.address
        cluster.put(quiet_service())
        async with working(cluster, pool, grace_seconds=LONG_SECONDS):
            await ready(cluster, pool)
            cluster.put(small_domain("one"))
            await until(lambda: programmed(cluster, "one"), "programmed")
            pool.deaf.add("pod-0")
            cluster.put(quiet_service(dnsCheck={"mode": "Enabled", "servers": [f"{host}:{port}"]}))
            await until(lambda: told(cluster, ONE, "DNSReady")[0] == "False", "told")


async def test_a_refused_domain_says_so_at_once_however_long_others_wait(cluster: FakeCluster, pool: Pool) -> None:
    cluster.put(quiet_service())
    async with working(cluster, pool, grace_seconds=LONG_SECONDS):
        await ready(cluster, pool)
        pool.deaf.add("pod-0")
        cluster.put(small_domain("one"))
        cluster.put(small_domain("two", aliasTableRef={"name": "nobody"}))
        await until(lambda: told(cluster, TWO, "ResolvedRefs") == ("False", "TableNotFound"), "told", 2.0)
        assert told(cluster, TWO) == ("False", "NotAccepted")
        assert told(cluster, ONE) == ("", "")


async def test_a_refused_domain_says_so_though_the_pass_that_refused_it_failed(
    cluster: FakeCluster, pool: Pool
) -> None:
    cluster.put(quiet_service())
    async with working(cluster, pool):
        await ready(cluster, pool)
        cluster.trouble = refusing(BusyError(0, "no answer"), SECRETS.plural)
        cluster.put(small_domain("one"))
        cluster.put(small_domain("two", aliasTableRef={"name": "nobody"}))
        await asyncio.sleep(3 * SLOW_SECONDS)
        cluster.trouble = lambda verb, plural: None
        await until(lambda: told(cluster, TWO, "ResolvedRefs") == ("False", "TableNotFound"), "told")
        await until(lambda: programmed(cluster, "one"), "programmed")


async def test_a_domain_whose_pods_never_take_it_says_so_with_its_generation(cluster: FakeCluster, pool: Pool) -> None:
    cluster.put(quiet_service())
    async with working(cluster, pool):
        await ready(cluster, pool)
        pool.deaf.add("pod-0")
        cluster.put(small_domain("one"))
        await until(lambda: told(cluster, ONE) == ("False", "Pending"), "told", 2.0)
        cluster.put(small_domain("one", mailboxes=["postmaster"]))
        await until(lambda: cluster.status(MAIL_DOMAINS, ONE)["observedGeneration"] == 2, "told of the next one", 2.0)
        pool.deaf.clear()
        await until(lambda: programmed(cluster, "one"), "programmed")


async def test_a_domain_says_that_pods_refuse_it(cluster: FakeCluster, pool: Pool) -> None:
    cluster.put(quiet_service())
    async with working(cluster, pool):
        await ready(cluster, pool)
        pool.refusal = "domains[0]: a field that this version does not know"
        cluster.put(small_domain("one"))
        await until(lambda: told(cluster, ONE) == ("False", "PodRejected"), "told", 2.0)
        pool.refusal = ""
        cluster.put(small_domain("one", mailboxes=["postmaster"]))
        await until(lambda: programmed(cluster, "one"), "programmed")


async def test_what_a_domain_waits_for_is_told_anew_when_it_is_something_else(cluster: FakeCluster, pool: Pool) -> None:
    cluster.put(quiet_service())
    async with working(cluster, pool):
        await ready(cluster, pool)
        pool.deaf.add("pod-0")
        await become(cluster, ready=False)
        cluster.put(small_domain("one"))
        await until(lambda: told(cluster, ONE) == ("False", "NoReadyPods"), "told")
        await become(cluster, ready=True)
        await until(lambda: told(cluster, ONE) == ("False", "Pending"), "told anew", 2.0)


async def test_a_service_that_ends_says_nothing_of_its_domains_any_more(cluster: FakeCluster, pool: Pool) -> None:
    cluster.put(quiet_service())
    async with working(cluster, pool):
        await ready(cluster, pool)
        pool.deaf.add("pod-0")
        cluster.put(small_domain("one"))
        await until(lambda: len(writes_of(cluster, SECRETS.plural)) == 2, "under way")
        cluster.remove(MAIL_SERVICES, SERVICE)
        await until(lambda: told(cluster, ONE, "Accepted") == ("False", "ServiceNotFound"), "told by others")
        cluster.writes.clear()
        await asyncio.sleep(6 * SLOW_SECONDS)
        assert statuses(cluster, "one") == 0


async def test_many_changes_cost_fewer_statuses_of_the_service_and_the_last_is_right(
    cluster: FakeCluster, pool: Pool
) -> None:
    cluster.put(quiet_service())
    async with working(cluster, pool):
        await ready(cluster, pool)
        for number in range(6):
            cluster.put(small_domain(f"d{number}"))
            await until(lambda number=number: programmed(cluster, f"d{number}"), "programmed")  # type: ignore[misc]
        await until(lambda: cluster.status(MAIL_SERVICES, SERVICE)["domains"].get("programmed") == 6, "counted")
        assert len(writes_of(cluster, MAIL_SERVICES.plural)) <= 3
        assert service_ready(cluster)


async def test_what_was_told_and_waits_again_waits_its_own_time() -> None:
    late: list[set[ObjectKey]] = []
    withheld, one, two = Withheld(late.append), ObjectKey(*ONE), ObjectKey(*TWO)
    withheld.hold({one, two}, 0.05)
    withheld.release({one})
    withheld.hold({one, two}, 0.1)
    await asyncio.sleep(0.07)
    assert late == [{two}]
    assert one in withheld
    assert two not in withheld
    await asyncio.sleep(0.05)
    assert late == [{two}, {one}]


async def test_what_is_withheld_no_more_is_not_told() -> None:
    late: list[set[ObjectKey]] = []
    withheld = Withheld(late.append)
    withheld.hold({ObjectKey(*ONE)}, 0.02)
    withheld.clear()
    await asyncio.sleep(0.04)
    assert late == []
