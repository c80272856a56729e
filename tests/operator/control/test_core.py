"""The whole control loop on a cluster in memory."""

import asyncio

import pytest

from paquebot_operator.cluster.errors import BusyError, RefusedError
from paquebot_operator.cluster.resources import (
    DEPLOYMENTS,
    EVENTS,
    MAIL_DOMAINS,
    MAIL_SERVICES,
    PODS,
    SECRETS,
    TABLES,
    Place,
)
from tests.operator.builders import table

from .fake_cluster import FakeCluster, Write, refusing
from .pool import SERVICE, Pool, programmed, quiet_service, service_ready, small_domain, until, working, writes_of

ONE = Place("default", "one")


async def settled(cluster: FakeCluster, pool: Pool, *names: str) -> None:
    """A service with a pod and these domains, all programmed, written by an operator that ended."""
    cluster.put(quiet_service())
    for name in names:
        cluster.put(small_domain(name))
    async with working(cluster, pool):
        pool.add("pod-0")
        await until(lambda: service_ready(cluster) and all(programmed(cluster, name) for name in names), "settled")
        await asyncio.sleep(0.3)


async def test_a_domain_reaches_all_pods_and_leaves_them(cluster: FakeCluster, pool: Pool) -> None:
    await settled(cluster, pool)
    async with working(cluster, pool):
        pool.add("pod-1")
        cluster.put(small_domain("one"))
        await until(lambda: programmed(cluster, "one"), "programmed")
        assert [pool.domains[name] for name in ("pod-0", "pod-1")] == [{"one.test"}] * 2
        assert cluster.status(MAIL_DOMAINS, ONE)["programmedPods"] == "2/2"
        cluster.remove(MAIL_DOMAINS, ONE)
        await until(lambda: not pool.domains["pod-0"] and not pool.domains["pod-1"], "left")


async def test_a_change_costs_four_writes_and_a_nudge_a_pod(cluster: FakeCluster, pool: Pool) -> None:
    await settled(cluster, pool)
    async with working(cluster, pool):
        await asyncio.sleep(0.3)
        cluster.writes.clear()
        cluster.put(small_domain("one"))
        await until(lambda: programmed(cluster, "one") and writes_of(cluster, MAIL_SERVICES.plural), "told")
        assert sorted((each.verb, each.plural) for each in cluster.writes) == [
            ("apply", "secrets"), ("apply", "secrets"), ("patch", "pods"), ("status", "maildomains"),
            ("status", "mailservices"),
        ]  # fmt: skip


async def test_a_restart_with_nothing_changed_writes_nothing(cluster: FakeCluster, pool: Pool) -> None:
    await settled(cluster, pool, "one", "two")
    cluster.writes.clear()
    async with working(cluster, pool):
        await asyncio.sleep(1.0)
    assert cluster.writes == []


async def test_an_end_that_no_watch_told_is_known_after_a_gap(cluster: FakeCluster, pool: Pool) -> None:
    await settled(cluster, pool, "one", "two")
    async with working(cluster, pool, resync_seconds=0.3):
        cluster.remove(MAIL_DOMAINS, ONE, silently=True)
        await until(lambda: pool.domains["pod-0"] == {"two.test"}, "the domain is gone")


async def test_a_broken_domain_leaves_the_others_alone_and_keeps_what_it_had(cluster: FakeCluster, pool: Pool) -> None:
    await settled(cluster, pool, "one")
    async with working(cluster, pool):
        cluster.put(small_domain("one", aliasTableRef={"name": "nobody"}))
        cluster.put(small_domain("two"))
        await until(lambda: programmed(cluster, "two"), "the good one is programmed")
        await until(
            lambda: cluster.condition(MAIL_DOMAINS, ONE, "ResolvedRefs") == ("False", "TableNotFound"), "condition"
        )
        assert cluster.condition(MAIL_DOMAINS, ONE, "Programmed") == ("False", "LastGoodKept")
        assert pool.domains["pod-0"] == {"one.test", "two.test"}


async def test_a_restarted_operator_keeps_what_was_kept(cluster: FakeCluster, pool: Pool) -> None:
    await settled(cluster, pool, "one")
    cluster.put(small_domain("one", aliasTableRef={"name": "nobody"}))
    async with working(cluster, pool):
        await until(lambda: cluster.condition(MAIL_DOMAINS, ONE, "ResolvedRefs")[0] == "False", "judged")
    async with working(cluster, pool):
        cluster.put(small_domain("two"))
        await until(lambda: programmed(cluster, "two"), "programmed")
        assert pool.domains["pod-0"] == {"one.test", "two.test"}


async def test_a_table_appears_and_repairs_a_domain(cluster: FakeCluster, pool: Pool) -> None:
    await settled(cluster, pool)
    async with working(cluster, pool):
        cluster.put(small_domain("one", aliasTableRef={"name": "people"}))
        await until(lambda: cluster.condition(MAIL_DOMAINS, ONE, "ResolvedRefs")[0] == "False", "missing")
        cluster.put(table("people", "alias", inline={"entries": [{"key": "info", "value": "alice"}]}))
        await until(lambda: programmed(cluster, "one"), "programmed")
        await until(lambda: cluster.condition(TABLES, Place("default", "people"), "Ready")[0] == "True", "table ready")
        assert [each.name.split(".")[0] for each in writes_of(cluster, EVENTS.plural)] == ["one", "one"]


async def test_a_domain_without_a_service_says_so(cluster: FakeCluster, pool: Pool) -> None:
    cluster.put(small_domain("one"))
    async with working(cluster, pool):
        await until(lambda: cluster.condition(MAIL_DOMAINS, ONE, "Accepted") == ("False", "ServiceNotFound"), "said")
        cluster.put(quiet_service())
        pool.add("pod-0")
        await until(lambda: programmed(cluster, "one"), "programmed once it came")


async def test_a_deaf_pod_is_nudged_again_and_named(cluster: FakeCluster, pool: Pool) -> None:
    await settled(cluster, pool)
    async with working(cluster, pool):
        pool.add("pod-1")
        pool.deaf.add("pod-1")
        await asyncio.sleep(0.3)
        cluster.writes.clear()
        cluster.put(small_domain("one"))
        await until(lambda: writes_of(cluster, PODS.plural).count(Write("patch", "pods", "pod-1")) >= 2, "nudged twice")
        assert not programmed(cluster, "one")
        pool.deaf.clear()
        await until(lambda: programmed(cluster, "one"), "programmed")


async def test_an_object_that_is_refused_is_told_and_mail_goes_on(cluster: FakeCluster, pool: Pool) -> None:
    cluster.trouble = refusing(RefusedError(422, "spec is immutable"), DEPLOYMENTS.plural)
    cluster.put(quiet_service())
    cluster.put(small_domain("one"))
    async with working(cluster, pool):
        pool.add("pod-0")
        await until(lambda: programmed(cluster, "one"), "programmed all the same")
        refused = ("False", "ObjectRefused")
        await until(lambda: cluster.condition(MAIL_SERVICES, SERVICE, "Programmed") == refused, "told")


async def test_a_service_says_whether_it_sees_its_clients_addresses(cluster: FakeCluster, pool: Pool) -> None:
    outside = {"type": "NodePort", "externalTrafficPolicy": "Cluster"}
    cluster.put(quiet_service(listeners=[{"name": "mx", "port": 2525, "service": outside}]))
    async with working(cluster, pool):
        pool.add("pod-0")
        await until(lambda: service_ready(cluster), "ready all the same: mail goes")
        told = cluster.condition(MAIL_SERVICES, SERVICE, "ClientIPPreserved")
        assert told == ("False", "ExternalTrafficPolicyCluster")
        cluster.put(quiet_service())
        await until(lambda: cluster.condition(MAIL_SERVICES, SERVICE, "ClientIPPreserved")[0] == "", "nothing to say")


async def test_an_api_server_that_is_away_is_waited_for(cluster: FakeCluster, pool: Pool) -> None:
    await settled(cluster, pool)
    async with working(cluster, pool):
        cluster.trouble = lambda verb, plural: BusyError(0, "no answer")
        cluster.put(small_domain("one"))
        await asyncio.sleep(0.3)
        cluster.trouble = lambda verb, plural: None
        await until(lambda: programmed(cluster, "one"), "programmed")


async def test_a_config_secret_that_somebody_deletes_comes_back(cluster: FakeCluster, pool: Pool) -> None:
    await settled(cluster, pool, "one")
    async with working(cluster, pool, resync_seconds=0.3):
        place = next(place for kind, place in cluster.objects if kind == SECRETS and place.name.endswith("-service"))
        cluster.remove(SECRETS, place)
        await until(lambda: (SECRETS, place) in cluster.objects, "back")


@pytest.mark.parametrize("at", range(1, 10))
async def test_killed_at_any_write_the_next_operator_finishes(cluster: FakeCluster, pool: Pool, at: int) -> None:
    await settled(cluster, pool, "one", "two")
    count = 0

    def trouble(verb: str, plural: str) -> BaseException | None:
        nonlocal count
        count += verb not in ("get", "list")
        return asyncio.CancelledError() if count >= at and verb not in ("get", "list") else None

    cluster.put(small_domain("one", aliasTableRef={"name": "nobody"}))
    cluster.put(quiet_service(hostname="other.example.test"))
    for name in ("three", "four"):
        cluster.put(small_domain(name))
    cluster.remove(MAIL_DOMAINS, Place("default", "two"))
    cluster.trouble = trouble
    async with working(cluster, pool):
        await asyncio.sleep(0.25)
    cluster.trouble = lambda verb, plural: None
    async with working(cluster, pool):
        await until(lambda: programmed(cluster, "three") and programmed(cluster, "four"), "new ones are programmed")
        await until(lambda: pool.domains["pod-0"] == {"one.test", "three.test", "four.test"}, "nothing lost or stale")
        await until(
            lambda: cluster.condition(MAIL_DOMAINS, ONE, "ResolvedRefs")[0] == "False", "the broken one says so"
        )


async def test_a_first_configuration_that_pods_refuse_is_told(cluster: FakeCluster, pool: Pool) -> None:
    cluster.put(quiet_service())
    cluster.put(small_domain("one"))
    pool.refusal = "rules[0]: a field that this version does not know"
    async with working(cluster, pool):
        pool.add("pod-0", ready=False)
        refused = ("False", "PodRejected")
        await until(lambda: cluster.condition(MAIL_SERVICES, SERVICE, "Programmed") == refused, "told")
        (pod,) = cluster.status(MAIL_SERVICES, SERVICE)["pods"]
        assert (pod["name"], pod["rejectedReason"]) == ("pod-0", f"service: {pool.refusal}")
        assert not programmed(cluster, "one")
