"""Who publishes what: keys and records are for those whose name is their own."""

from __future__ import annotations

import asyncio

from paquebot_operator.cluster.resources import MAIL_DOMAINS, SECRETS, Json, Place
from tests.operator.builders import metadata

from .fake_cluster import FakeCluster
from .pool import Pool, programmed, quiet_service, small_domain, until, working

OLD, YOUNG, FOREIGN = Place("default", "old"), Place("default", "young"), Place("other", "foreign")
MANAGED = {"mode": "Managed", "algorithm": "Ed25519"}


def claimant(name: str, year: int) -> Json:
    manifest = small_domain(name, domain="shared.test", dkim=MANAGED)
    manifest["metadata"]["creationTimestamp"] = f"{year}-01-01T00:00:00Z"
    return manifest


def records(cluster: FakeCluster, place: Place) -> set[str]:
    return {each["name"] for each in cluster.status(MAIL_DOMAINS, place).get("dnsRecords", ())}


def has_key(cluster: FakeCluster, place: Place) -> bool:
    return (SECRETS, Place(place.namespace, f"{place.name}-dkim")) in cluster.objects


def accepted(cluster: FakeCluster, place: Place) -> tuple[str, str]:
    return cluster.condition(MAIL_DOMAINS, place, "Accepted")


async def test_a_refused_domain_gets_no_key_and_is_told_no_records(cluster: FakeCluster, pool: Pool) -> None:
    cluster.put(quiet_service())
    async with working(cluster, pool):
        pool.add("pod-0")
        cluster.put(claimant("old", 2025))
        cluster.put(claimant("young", 2026))
        cluster.put(small_domain("foreign", dkim=MANAGED) | {"metadata": metadata("foreign", "other")})
        await until(lambda: accepted(cluster, YOUNG) == ("False", "DomainConflict"), "refused")
        await until(lambda: accepted(cluster, FOREIGN) == ("False", "NamespaceNotAllowed"), "refused")
        await until(lambda: has_key(cluster, OLD) and records(cluster, OLD), "the winner has a key")
        await asyncio.sleep(0.3)
        for place in (YOUNG, FOREIGN):
            assert not has_key(cluster, place)
            assert not records(cluster, place)
            assert cluster.condition(MAIL_DOMAINS, place, "DKIMReady") == ("", "")


async def test_the_heir_of_a_claim_gets_a_key_and_records_at_once(cluster: FakeCluster, pool: Pool) -> None:
    cluster.put(quiet_service())
    async with working(cluster, pool):
        pool.add("pod-0")
        cluster.put(claimant("old", 2025))
        cluster.put(claimant("young", 2026))
        await until(lambda: accepted(cluster, YOUNG) == ("False", "DomainConflict"), "refused")
        cluster.remove(MAIL_DOMAINS, OLD)
        await until(lambda: has_key(cluster, YOUNG), "a key", 4.0)
        await until(lambda: any("_domainkey" in name for name in records(cluster, YOUNG)), "its record is told", 4.0)


async def test_a_domain_that_is_refused_later_keeps_its_key_and_is_told_no_records(
    cluster: FakeCluster, pool: Pool
) -> None:
    cluster.put(quiet_service())
    async with working(cluster, pool):
        pool.add("pod-0")
        cluster.put(claimant("young", 2026))
        await until(lambda: has_key(cluster, YOUNG) and programmed(cluster, "young"), "a key")
        await until(lambda: records(cluster, YOUNG), "told")
        cluster.put(claimant("old", 2025))
        await until(lambda: accepted(cluster, YOUNG) == ("False", "DomainConflict"), "refused")
        await until(lambda: not records(cluster, YOUNG), "told no more")
        await until(lambda: has_key(cluster, OLD), "the winner has a key")
        assert has_key(cluster, YOUNG)


async def test_a_new_domain_has_its_records_in_the_status_that_says_it_is_programmed(
    cluster: FakeCluster, pool: Pool
) -> None:
    cluster.put(quiet_service())
    async with working(cluster, pool):
        pool.add("pod-0")
        cluster.put(claimant("old", 2025))
        await until(lambda: programmed(cluster, "old"), "programmed")
        assert cluster.condition(MAIL_DOMAINS, OLD, "DKIMReady") in (("", ""), ("Unknown", "NotChecked"))
        await until(lambda: records(cluster, OLD), "told", 2.0)
