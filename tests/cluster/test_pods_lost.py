"""Pods, containers, a node and the volume that go without a word, a pool scaled to nothing: no mail is lost."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tests.faults.books import balance, token_of
from tests.kube.cluster import Cluster
from tests.support.fake_mx import FakeMx
from tests.support.fake_mx_script import Answer, Script
from tests.support.loop_thread import in_thread
from tests.support.processes import wait_until

from .pool import RETURN_SECONDS, Pool
from .release import Release, mail_domain
from .test_upgrade import possible_duplicates, tell
from .traffic import Traffic

pytestmark = [pytest.mark.integration, pytest.mark.timeout(480)]

DOMAIN = "lost.example.test"
WAITING = f"waiting@{DOMAIN}"
"""Mail to it is not taken for as long as `SLOW` is in force."""
TAKEN = {"DOT": Answer("250 2.0.0 taken", delay_seconds=0.1)}
# So slow that mail waits in the pods that go.
SLOW = Script(is_lmtp=True, replies=TAKEN | {f"RCPT {WAITING}": Answer("250 2.1.5 ok", delay_seconds=20.0)})
QUICK = Script(is_lmtp=True, replies=TAKEN)
# So fast that a dead pod's mail waits for its takeover alone, not behind what its heirs have under way.
PROMPT = Script(is_lmtp=True)
ACCEPT_SECONDS = 15.0
"""A new client is served by another pod: at most some connections lead to the dead one until that is known."""
TAKEOVER_SECONDS = 45.0
"""Three times what it should take, for machines that are busy with more than this."""
AWAY_SECONDS = 5.0


class Scene:
    """The pool, the store that its mail goes to, and what was measured."""

    def __init__(self, pool: Pool, store: FakeMx) -> None:
        self.pool, self.store = pool, store
        self.measured: dict[str, float] = {}

    def taken(self) -> list[bytes]:
        """Return all contents that the store has answered for."""
        return [each.content for each in list(self.store.transactions) if each.replies]

    def delete_a_pod(self) -> None:
        self.pool.delete_a_pod()

    def kill_a_container(self) -> None:
        self.pool.kill_a_container()

    def scale_to_nothing_and_back(self) -> None:
        """Scale up, down, to nothing, and up again while the volume is away."""
        for replicas in (3, 1, 0):
            self.pool.scale(replicas)
            self.pool.wait_for_pods(replicas)
        before = self.pool.events("FailedMount")
        with self.pool.without_volume():
            self.pool.scale(2)
            wait_until(lambda: self.pool.events("FailedMount") > before, "pods without a volume", RETURN_SECONDS)

    def lose_the_queue(self) -> None:
        """Take the mounted volume's content from the pods for a while."""
        with self.pool.without_queue():
            time.sleep(AWAY_SECONDS)

    def lose_a_kubelet(self) -> None:
        """Take a node for lost whose pod lives and goes on: for a while there is one pod more than there should be."""
        zombie = self.pool.spread()["metadata"]["name"]
        with self.pool.without_kubelet():
            self.pool.wait_for_pods(2)
        wait_until(lambda: zombie not in self.pool.names(), "its end", RETURN_SECONDS)

    def lose_a_node(self) -> None:
        """Lose a node whose pod has mail that waits; it stays away until others are in the place of its pods."""
        self.store.script = SLOW
        pod = self.pool.spread()
        self.pool.be_far(pod)
        tokens = set(self.pool.take_mail(pod, WAITING, 20))
        with self.pool.without_node() as lost_at:
            self.store.script = PROMPT
            self.measured["lost node to mail accepted"] = self.pool.seconds_to_accept(lost_at)
            wait_until(lambda: self._has_any(tokens), "mail of the lost node", RETURN_SECONDS)
            self.measured["lost node to its mail delivered by another"] = time.monotonic() - lost_at
            self.store.script = QUICK
            self.pool.wait_for_the_loss()
            self.pool.wait_for_pods(2)
            self.measured["lost node to as many pods as before"] = time.monotonic() - lost_at

    def _has_any(self, tokens: set[str]) -> bool:
        return not tokens.isdisjoint(map(token_of, self.taken()))


STRIKES: list[Callable[[Scene], None]] = [
    Scene.delete_a_pod,
    Scene.kill_a_container,
    Scene.lose_the_queue,
    Scene.scale_to_nothing_and_back,
    Scene.lose_a_kubelet,
    Scene.lose_a_node,
]


def test_no_mail_is_lost_with_pods_containers_a_volume_or_a_node(release: Release, cluster: Cluster) -> None:
    with in_thread(FakeMx(QUICK, host=cluster.machine_address)) as store:
        lmtp = {"destination": f"{cluster.machine_address}:{store.port}"}
        release.apply(mail_domain("lost", DOMAIN, release.namespace, lmtp=lmtp))
        release.wait_for("maildomain", "lost", "Programmed")
        traffic = Traffic(release.address("mx"), f"alice@{DOMAIN}", name="lost")
        scene = Scene(Pool(release, cluster, traffic), store)
        with traffic.flowing():
            scene.pool.wait_for_pods(2)
            for strike in STRIKES:
                began_at = time.monotonic()
                strike(scene)
                scene.pool.wait_for_pods(2)
                scene.measured[strike.__name__] = time.monotonic() - began_at
        wait_until(lambda: has_all(scene.taken(), traffic), "all is delivered", RETURN_SECONDS)
        copies = scene.taken()
        counted = possible_duplicates(release)
        release.delete("maildomain", "lost")
    found = balance(traffic.witness, copies, (), kills=scene.pool.strikes, possible_duplicates=counted)
    tell(found, traffic)
    print("".join(f"  {what:<45}{seconds:>7.1f} s\n" for what, seconds in scene.measured.items()))
    assert (found.lost, found.altered, found.strangers) == (0, 0, 0)
    # A pod takes its logs with it, so what its heirs counted can't be summed up: these were under way at most.
    assert found.duplicates <= store.most_open * scene.pool.strikes
    assert scene.measured["lost node to mail accepted"] < ACCEPT_SECONDS
    assert scene.measured["lost node to its mail delivered by another"] < TAKEOVER_SECONDS


def has_all(copies: list[bytes], traffic: Traffic) -> bool:
    """Whether all that was acknowledged has come."""
    return traffic.witness.acked.keys() <= set(map(token_of, copies))
