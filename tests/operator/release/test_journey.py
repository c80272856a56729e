"""A trial goes a message's whole way and says where it got stuck."""

from __future__ import annotations

from time import monotonic
from typing import Any

import pytest

from paquebot_operator.cluster.errors import ClusterError
from paquebot_operator.cluster.resources import MAIL_DOMAINS, Place
from paquebot_operator.compile.objects import ObjectKey
from paquebot_operator.desired.ports import service_port
from paquebot_operator.release import journey
from paquebot_operator.release.journey import Trial, TrialError, travel
from paquebot_operator.release.sink import Sink
from paquebot_operator.release.trial import trial_domain, trial_service
from tests.operator.builders import compiled, objects, service
from tests.support.processes import LOOPBACK, free_port

from .cluster_double import NAME, NAMESPACE, ClusterDouble

DOMAIN = "t1.paquebot-test.invalid"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journey, "POLL_SECONDS", 0.02)


def trial(seconds: float = 5.0, **more: Any) -> Trial:
    known = {"namespace": NAMESPACE, "name": NAME, "service": "post", "domain": DOMAIN, "address": LOOPBACK}
    return Trial(**(known | {"until": monotonic() + seconds} | more))


async def stuck(cluster: ClusterDouble, tried: Trial) -> str:
    said: list[str] = []
    async with Sink(LOOPBACK, 0) as sink:
        with pytest.raises(TrialError) as caught:
            await travel(cluster.api, sink, tried, said.append)
    return str(caught.value)


async def test_a_domain_that_no_pod_takes_over_is_named_with_the_reason() -> None:
    cluster = ClusterDouble(lambda files: False, mx_port=free_port())
    text = await stuck(cluster, trial(0.3, mx=(LOOPBACK, free_port())))
    assert "MailDomain paquebot-test did not become Programmed in time" in text
    assert "Programmed False, Pending: pod-1 runs an older configuration" in text


async def test_a_server_that_does_not_listen_is_named() -> None:
    cluster = ClusterDouble(lambda files: True, mx_port=free_port())
    port = free_port()
    assert f"{LOOPBACK}:{port} did not take the message" in await stuck(cluster, trial(0.5, mx=(LOOPBACK, port)))


async def test_what_was_applied_is_deleted_and_nothing_else() -> None:
    cluster = ClusterDouble(lambda files: False, mx_port=free_port())
    await stuck(cluster, trial(0.1, mx=(LOOPBACK, 1)))
    assert cluster.deleted == [("MailDomain", NAME)]
    assert ("MailService", "post") in cluster.objects


async def test_a_service_that_is_never_ready_is_deleted_again() -> None:
    cluster = ClusterDouble(lambda files: False, mx_port=free_port())
    cluster.conditions["MailService"] = {"type": "Ready", "status": "False", "reason": "NoReadyPods"}
    text = await stuck(cluster, trial(0.3, service=""))
    assert "MailService paquebot-test did not become Ready in time" in text
    assert cluster.deleted == [("MailDomain", NAME), ("MailService", NAME)]


async def test_a_cluster_that_says_no_is_not_asked_again() -> None:
    cluster = ClusterDouble(lambda files: True, mx_port=free_port())
    cluster.denied = {"MailDomain"}
    async with Sink(LOOPBACK, 0) as sink:
        with pytest.raises(ClusterError, match="not for you"):
            await travel(cluster.api, sink, trial(mx=(LOOPBACK, 1)), lambda _: None)


async def test_old_conditions_do_not_count() -> None:
    cluster = ClusterDouble(lambda files: True, mx_port=free_port())
    manifest = trial_domain(NAMESPACE, NAME, service="post", domain=DOMAIN, sink="127.0.0.1:2424")
    await cluster.api.apply(manifest)
    cluster.conditions["MailDomain"]["observedGeneration"] = 0
    found = await cluster.api.get(MAIL_DOMAINS, Place(NAMESPACE, NAME))
    assert journey._conditions(found) == {}


@pytest.mark.parametrize("address", ["192.0.2.1:2424", "[2001:db8::1]:2424"])
def test_a_trials_objects_compile_without_a_complaint(address: str) -> None:
    domain = trial_domain("default", NAME, service="post", domain=DOMAIN, sink=address)
    made = trial_service("default", "post")
    for carrier in (made, service()):
        found = compiled(carrier, domain)
        assert found.config is not None
        assert DOMAIN in found.config.domains
        assert not [each for each in found.conditions if each.status != "True"]
    spec = objects(made).services[ObjectKey("default", "post")].spec
    assert service_port(spec.listeners[0]) == 25
