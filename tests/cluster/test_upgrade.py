"""`helm upgrade` to another image while mail flows: nothing is lost, and nobody stands before a closed door."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from tests.faults.books import Balance, balance
from tests.kube.cluster import Cluster
from tests.kube.images import PROJECT_IMAGE
from tests.support.fake_mx import FakeMx
from tests.support.fake_mx_script import Script
from tests.support.loop_thread import in_thread
from tests.support.processes import wait_until

from .release import SERVICE, Release, mail_domain
from .traffic import Traffic

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

DOMAIN = "upgrade.example.test"
NEXT_IMAGE = "paquebot:next"
ROLLOUT_SECONDS = 150.0
LONGEST_OUTAGE_SECONDS = 5.0
"""A pod goes on as long as its address is in the Service: nobody should see more than a broken session."""


def test_an_upgrade_loses_nothing_and_refuses_nobody_for_long(release: Release, cluster: Cluster) -> None:
    cluster.name_image(PROJECT_IMAGE, NEXT_IMAGE)
    script = Script(is_lmtp=True)
    with in_thread(FakeMx(script, host=cluster.machine_address)) as store:
        lmtp = {"destination": f"{cluster.machine_address}:{store.port}"}
        release.apply(mail_domain("upgrade", DOMAIN, release.namespace, lmtp=lmtp))
        release.wait_for("maildomain", "upgrade", "Programmed")
        traffic = Traffic(release.address("mx"), f"alice@{DOMAIN}")
        before = {each["metadata"]["uid"] for each in release.pods()}
        with traffic.flowing():
            wait_until(lambda: traffic.acked > 50, "mail flows", 30.0)
            release.upgrade(f"image.tag={NEXT_IMAGE.partition(':')[2]}")
            wait_until(lambda: is_renewed(release, before), "new pods", ROLLOUT_SECONDS)
            acked = traffic.acked
            wait_until(lambda: traffic.acked > acked + 50, "mail still flows", 30.0)
        wait_until(lambda: is_settled(store, traffic), "all is delivered", 60.0)
        result = balance(traffic.witness, store.contents, (), possible_duplicates=possible_duplicates(release))
    tell(result, traffic)
    assert (result.lost, result.altered, result.strangers) == (0, 0, 0)
    assert result.duplicates <= result.possible_duplicates
    assert result.refused == 0
    assert max(traffic.outages, default=0.0) < LONGEST_OUTAGE_SECONDS


def is_renewed(release: Release, before: set[str]) -> bool:
    """Whether all ready pods are new ones, of the new image, and the old ones are gone."""
    found = release.cluster.api.get("pods", "-n", release.namespace, "-l", f"paquebot.dev/service={SERVICE}")["items"]
    images = {each["spec"]["containers"][0]["image"] for each in found}
    uids = {each["metadata"]["uid"] for each in found}
    return len(release.pods()) == 2 and images == {NEXT_IMAGE} and not uids & before


def is_settled(store: FakeMx, traffic: Traffic) -> bool:
    """Whether all that was acknowledged has come."""
    witness, came = traffic.witness, b"".join(store.contents)
    return all(token.encode() in came for token in witness.acked)


def possible_duplicates(release: Release) -> int:
    """What the pods have counted: deliveries whose outcome was not known when they took them over."""
    total = 0
    for pod in release.pods():
        log = release.cluster.api.kubectl("logs", pod["metadata"]["name"], "-n", release.namespace)
        lines = (json.loads(line) for line in log.splitlines() if "possible_duplicates" in line)
        total += sum(int(line["possible_duplicates"]) for line in lines)
    return total


def tell(result: Balance, traffic: Traffic) -> None:
    """Print the books: a failed run's first question."""
    print(f"\n{result.table()}  outages of senders: {sorted(round(each, 2) for each in traffic.outages)} s")
    print("".join(f"  {times:>4} {trouble}\n" for trouble, times in Counter(traffic.troubles).most_common(10)))
