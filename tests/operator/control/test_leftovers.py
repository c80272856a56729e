"""MailDomains that no MailService's pass judges: each is told why, and what to do."""

from __future__ import annotations

import pytest

from paquebot_operator.cluster.resources import MAIL_DOMAINS, Json, Place

from .fake_cluster import FakeCluster
from .pool import Pool, quiet_service, small_domain, until, working

ONE = Place("default", "one")


def of_service(name: str, namespace: str) -> Json:
    return small_domain("one", serviceRef={"name": name, "namespace": namespace})


def accepted(cluster: FakeCluster) -> tuple[str, str]:
    """Reason and message."""
    for each in cluster.status(MAIL_DOMAINS, ONE).get("conditions", ()):
        if each["type"] == "Accepted":
            return each["reason"], each["message"]
    return "", ""


async def test_a_service_of_a_namespace_that_is_not_watched_is_not_called_absent(
    cluster: FakeCluster, pool: Pool
) -> None:
    cluster.put(of_service("post", "elsewhere"))
    async with working(cluster, pool, namespaces=("default", "mail")):
        await until(lambda: accepted(cluster)[0] == "ServiceNotFound", "told")
        message = accepted(cluster)[1]
        assert "does not watch namespace elsewhere" in message
        assert "create it" not in message


@pytest.mark.parametrize("namespaces", [(), ("default",)])
async def test_a_service_that_is_not_there_is_to_be_created(
    cluster: FakeCluster, pool: Pool, namespaces: tuple[str, ...]
) -> None:
    cluster.put(quiet_service())
    cluster.put(of_service("gone", "default"))
    async with working(cluster, pool, namespaces=namespaces):
        await until(lambda: accepted(cluster)[0] == "ServiceNotFound", "told")
        assert "there is no MailService default/gone: create it" in accepted(cluster)[1]
