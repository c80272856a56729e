"""One tenant's object holds up nobody: the others' domains come and go, and whose it is is told."""

import pytest

from paquebot_operator.cluster.resources import MAIL_DOMAINS, MAIL_SERVICES, TABLES, Json, Place
from tests.operator.builders import config_map, table
from tests.operator.compile.test_room import FIRST, HALF, SECOND

from .fake_cluster import FakeCluster
from .pool import SERVICE, Pool, programmed, quiet_service, service_ready, small_domain, until, working

BAD = Place("default", "bad")


def aliases(name: str, keys: int) -> list[Json]:
    text = "".join(f"user{number:05d} bob\n" for number in range(keys))
    return [config_map(name, table=text), table(name, "alias", configMapRef={"name": name, "key": "table"})]


def user(name: str, held: str) -> Json:
    return small_domain(name, aliasTableRef={"name": held})


@pytest.mark.parametrize(
    ("tenant", "place", "reason"),
    [
        (
            [small_domain("bad", catchAll=["error:550 No such\u00a0user"])],
            (MAIL_DOMAINS, BAD, "Accepted"),
            "UnsupportedValue",
        ),
        (
            [*aliases("huge", 74_000), user("bad", "huge")],
            (TABLES, Place("default", "huge"), "Accepted"),
            "TableTooBig",
        ),
        ([*aliases(SECOND, HALF), user("bad", SECOND)], (MAIL_DOMAINS, BAD, "Accepted"), "ConfigTooBig"),
    ],
)
async def test_one_tenants_object_holds_up_nobody(
    tenant: list[Json], place: tuple[object, Place, str], reason: str
) -> None:
    cluster = FakeCluster()
    pool = Pool(cluster)
    pool.add("pod-0")
    for each in (quiet_service(), small_domain("gone"), *aliases(FIRST, HALF), user("good", FIRST)):
        cluster.put(each)
    async with working(cluster, pool):
        await until(lambda: programmed(cluster, "gone") and programmed(cluster, "good"), "settled")
        for each in tenant:
            cluster.put(each)
        await until(lambda: cluster.condition(*place)[1] == reason, reason)  # type: ignore[arg-type]
        cluster.remove(MAIL_DOMAINS, Place("default", "gone"))
        cluster.put(small_domain("new"))
        await until(lambda: programmed(cluster, "new"), "new")
        assert pool.domains["pod-0"] == {"good.test", "new.test"}
        assert not programmed(cluster, "bad")
        await until(lambda: service_ready(cluster), "ready")
        assert cluster.condition(MAIL_SERVICES, SERVICE, "Accepted")[0] == "True"
