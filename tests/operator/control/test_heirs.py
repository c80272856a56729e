"""A domain name that passes from one MailDomain to another: a claim's heir, a rename, a move."""

from __future__ import annotations

from paquebot_operator.cluster.resources import MAIL_DOMAINS, MAIL_SERVICES, Json, Place
from paquebot_operator.compile.objects import ObjectKey
from paquebot_operator.control.programming import Programming

from .fake_cluster import FakeCluster
from .pool import SERVICE, Pool, programmed, quiet_service, small_domain, until, working

OLD, YOUNG = Place("default", "old"), Place("default", "young")


def claimant(name: str, year: int, **spec: object) -> Json:
    manifest = small_domain(name, domain="shared.test", **spec)
    manifest["metadata"]["creationTimestamp"] = f"{year}-01-01T00:00:00Z"
    return manifest


async def claimed_twice(cluster: FakeCluster, pool: Pool, **young: object) -> None:
    pool.add("pod-0")
    cluster.put(claimant("old", 2025))
    cluster.put(claimant("young", 2026, **young))
    await until(lambda: programmed(cluster, "old"), "the older one is programmed")
    refused = ("False", "DomainConflict")
    await until(lambda: cluster.condition(MAIL_DOMAINS, YOUNG, "Accepted") == refused, "the younger one is told")


async def test_the_heir_of_a_claim_is_programmed_though_its_entry_is_the_same(cluster: FakeCluster, pool: Pool) -> None:
    cluster.put(quiet_service())
    async with working(cluster, pool):
        await claimed_twice(cluster, pool)
        cluster.remove(MAIL_DOMAINS, OLD)
        await until(lambda: programmed(cluster, "young"), "the heir is programmed", 4.0)
        counts = {"total": 1, "accepted": 1, "programmed": 1}
        await until(lambda: cluster.status(MAIL_SERVICES, SERVICE).get("domains") == counts, "counted", 4.0)
        assert cluster.status(MAIL_DOMAINS, YOUNG)["programmedRevision"]


async def test_the_heir_of_a_claim_is_programmed_with_what_it_says_itself(cluster: FakeCluster, pool: Pool) -> None:
    cluster.put(quiet_service())
    async with working(cluster, pool):
        await claimed_twice(cluster, pool, mailboxes=["heir"])
        before = cluster.status(MAIL_DOMAINS, OLD)["programmedRevision"]
        cluster.remove(MAIL_DOMAINS, OLD)
        await until(lambda: programmed(cluster, "young"), "the heir is programmed", 4.0)
        assert cluster.status(MAIL_DOMAINS, YOUNG)["programmedRevision"] != before


def test_an_entry_that_passes_to_another_object_waits_for_pods_and_gets_it_with_the_same_digest() -> None:
    old, young = ObjectKey(*OLD), ObjectKey(*YOUNG)
    programming = Programming({})
    programming.want("digest", {old: ("shared.test", "r1")})
    assert programming.serve(["digest"]) == {old}
    assert programming.want("digest", {young: ("shared.test", "r1")}) == {old, young}
    assert not programming.is_programmed(young)
    assert programming.serve(["digest"]) == {young}
    assert programming.programmed == {young: "r1"}


def test_what_is_wanted_already_changes_nothing() -> None:
    old = ObjectKey(*OLD)
    programming = Programming({})
    programming.want("digest", {old: ("shared.test", "r1")})
    assert programming.want("digest", {old: ("shared.test", "r1")}) == set()
    assert programming.serve(["digest"]) == {old}
