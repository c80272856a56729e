"""What alerts hear of a MailService whose newest state isn't in force."""

from __future__ import annotations

from paquebot_operator.cluster.errors import DeniedError
from paquebot_operator.cluster.resources import MAIL_SERVICES, SECRETS
from paquebot_operator.compile.objects import ObjectKey
from paquebot_operator.control.core import Core
from paquebot_operator.control.metrics import Metrics

from .fake_cluster import FakeCluster, refusing
from .pool import SERVICE, Pool, programmed, quiet_service, small_domain, until, working

OPEN = {"name": "open", "match": {"from": {"any": {}}, "for": {"any": {}}}, "action": "out"}


def told(core: Core, type_: str) -> float | None:
    labels = f'resource_name="post",resource_namespace="default",type="{type_}"'
    return sample(core.metrics, f"paquebot_operator_service_condition{{{labels}}}")


def passes(core: Core, result: str) -> float:
    return sample(core.metrics, f'paquebot_operator_reconciles_total{{result="{result}"}}') or 0.0


def sample(metrics: Metrics, series: str) -> float | None:
    for line in metrics.exposition().decode().splitlines():
        name, _, value = line.rpartition(" ")
        if name == series:
            return float(value)
    return None


async def served(cluster: FakeCluster, pool: Pool, core: Core) -> None:
    pool.add("pod-0")
    await until(lambda: programmed(cluster, "one") and told(core, "Ready") == 1, "all is well")


async def test_a_configuration_that_cannot_be_written_is_told_by_metrics(cluster: FakeCluster, pool: Pool) -> None:
    cluster.put(quiet_service())
    cluster.put(small_domain("one"))
    async with working(cluster, pool) as core:
        await served(cluster, pool, core)
        assert (told(core, "Programmed"), passes(core, "refused")) == (1, 0)
        cluster.trouble = refusing(DeniedError(403, "exceeded quota"), SECRETS.plural)
        cluster.put(small_domain("two"))
        await until(lambda: told(core, "Programmed") == 0, "told")
        assert (told(core, "Accepted"), told(core, "Ready")) == (1, 0)
        assert passes(core, "refused") >= 1


async def test_a_service_that_is_refused_is_told_by_metrics(cluster: FakeCluster, pool: Pool) -> None:
    cluster.put(quiet_service())
    cluster.put(small_domain("one"))
    async with working(cluster, pool) as core:
        await served(cluster, pool, core)
        cluster.put(quiet_service(rules=[OPEN], actions=[{"name": "out", "relay": {}}]))
        await until(lambda: told(core, "Accepted") == 0, "told")
        assert passes(core, "refused") >= 1
        cluster.put(quiet_service())
        await until(lambda: (told(core, "Accepted"), told(core, "Programmed")) == (1, 1), "told that it is repaired")


async def test_a_service_that_is_gone_is_told_of_no_more(cluster: FakeCluster, pool: Pool) -> None:
    cluster.put(quiet_service())
    cluster.put(small_domain("one"))
    async with working(cluster, pool) as core:
        await served(cluster, pool, core)
        cluster.remove(MAIL_SERVICES, SERVICE)
        await until(lambda: told(core, "Ready") is None, "forgotten")


def test_a_condition_that_is_unknown_is_not_true_and_one_that_is_not_there_is_no_trouble() -> None:
    metrics = Metrics()
    metrics.conditions(ObjectKey("default", "post"), {"Programmed": "Unknown"})
    text = metrics.exposition().decode()
    assert 'resource_namespace="default",type="Programmed"} 0.0' in text
    assert 'resource_namespace="default",type="ResolvedRefs"} 1.0' in text
