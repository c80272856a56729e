"""The release's pool under traffic, and what can happen to it: pods, a node and the volume that go without a word."""

from __future__ import annotations

import os
import signal
import smtplib
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

from tests.kube.api import Manifest
from tests.kube.cluster import Cluster
from tests.support.processes import PeerError, wait_until

from .release import SERVICE, Release
from .traffic import Traffic

RETURN_SECONDS = 120.0
PATIENCE_SECONDS = 2.0
"""How long a sender waits for a server that says nothing, before it tries again."""
LOST_NODE = 2
OTHER_MACHINE = b"another-machine"


class Pool:
    """What is done to it; `strikes` counts the pods that went, or lost their queue, while they worked."""

    def __init__(self, release: Release, cluster: Cluster, traffic: Traffic) -> None:
        self.strikes = 0
        self._release, self._cluster, self._traffic = release, cluster, traffic
        self._numbers = count()

    def delete_a_pod(self) -> None:
        """Delete one as an impatient person does."""
        pod = self._release.pods()[0]["metadata"]["name"]
        self.strikes += 1
        self._kubectl("delete", "pod", pod, "--force", "--grace-period=0")

    def kill_a_container(self) -> None:
        """Kill the processes of one, as the kernel does when memory is short, and wait until another serves."""
        self.strikes += 1
        pod = self._release.pods()[0]
        for process in processes_of(pod):
            os.kill(process, signal.SIGKILL)
        wait_until(lambda: self._serves_again(pod), "another start", RETURN_SECONDS)

    @contextmanager
    def without_node(self) -> Iterator[float]:
        """Lose a node with all that runs on it, and get it back; yields when it went, on the monotonic clock."""
        self.strikes += 1
        self._cluster.stop_node(LOST_NODE, wait=False)
        try:
            yield time.monotonic()
        finally:
            self._cluster.start_node(LOST_NODE)

    @contextmanager
    def without_kubelet(self) -> Iterator[None]:
        """Pause what speaks for a node, until the cluster takes it for lost; the node's pods go on unseen."""
        kubelet = kubelet_of(self._cluster)
        os.kill(kubelet, signal.SIGSTOP)
        try:
            self.wait_for_the_loss()
            yield
        finally:
            os.kill(kubelet, signal.SIGCONT)

    @contextmanager
    def without_volume(self) -> Iterator[None]:
        """Take the volume from its nodes; what is mounted stays so, as with any lazy detach: the next mount fails."""
        volume = self._volume()
        away = volume.with_name(f"{volume.name}-away")
        volume.rename(away)
        try:
            yield
        finally:
            away.rename(volume)

    @contextmanager
    def without_queue(self) -> Iterator[None]:
        """Take the queue from the mounted volume, under the pods that write to it.

        Raises:
            PeerError: a pod that started in between has made another one, which lies beside it now.
        """
        self.strikes += len(self._release.pods())
        queue = self._volume() / "queue"
        away, another = queue.with_name("away"), queue.with_name("another")
        queue.rename(away)
        try:
            yield
        finally:
            with suppress(FileNotFoundError):
                queue.rename(another)
            away.rename(queue)
        if another.exists():
            raise PeerError(f"a pod started without its queue, and made {another}")

    def wait_for_the_loss(self) -> None:
        """Wait until the cluster knows that the node is lost, and its pods with it."""
        self._kubectl("wait", "--for=condition=Ready=Unknown", f"node/node{LOST_NODE}", "--timeout=60s")
        node = f"node{LOST_NODE}"
        wait_until(
            lambda: all(each["spec"]["nodeName"] != node for each in self._release.pods()), "its pods' loss", 60.0
        )

    def scale(self, replicas: int) -> None:
        """Scale the pool."""
        self._kubectl("scale", "mailservice", SERVICE, f"--replicas={replicas}")

    def spread(self) -> Manifest:
        """Have a pod on each node, and return the one on the node that will be lost."""

        def found() -> dict[str, Manifest]:
            return {each["spec"]["nodeName"]: each for each in self._release.pods()}

        while f"node{LOST_NODE}" not in found() or len(found()) < 2:
            self._kubectl("delete", "pod", self._release.pods()[0]["metadata"]["name"])
            wait_until(lambda: len(self._release.pods()) >= 2, "pods", RETURN_SECONDS)
        return found()[f"node{LOST_NODE}"]

    def take_mail(self, pod: Manifest, recipient: str, number: int) -> list[str]:
        """Let one pod take messages that nobody else has seen; return their tokens."""
        tokens = [f"{pod['metadata']['uid']}-{next(self._numbers):03d}x" for _ in range(number)]
        self._traffic.send_to(pod["status"]["podIP"], recipient, tokens)
        return tokens

    def seconds_to_accept(self, since: float) -> float:
        """Knock at the Service as a new client until mail is taken; return the seconds."""
        for number in count():
            try:
                token = f"knock-{self.strikes}-{number}x"
                self._traffic.send_to(self._traffic.address, self._traffic.recipient, [token], seconds=PATIENCE_SECONDS)
                break
            except (OSError, smtplib.SMTPException):
                time.sleep(0.05)
        return time.monotonic() - since

    def be_far(self, pod: Manifest) -> None:
        """Let a pod's queue say that its machine is another one than that of the other pods.

        Both nodes have one kernel here, whose free locks prove a death at once; real nodes have not.
        """
        homes = {home for process in processes_of(pod) for home in homes_of(process)}
        assert homes
        for home in homes:
            (self._volume() / "queue" / "v1" / "pods" / home / "lock").write_bytes(OTHER_MACHINE)

    def wait_for_pods(self, number: int) -> None:
        """Wait until so many are ready (none: all are gone), and mail flows if there are any."""
        if number == 0:
            wait_until(lambda: not self.all_pods(), "the end of all pods", RETURN_SECONDS)
            return
        wait_until(lambda: len(self._release.pods()) >= number, f"{number} pods", RETURN_SECONDS)
        acked = self._traffic.acked
        wait_until(lambda: self._traffic.acked > acked + 20, "mail flows", RETURN_SECONDS)

    def names(self) -> set[str]:
        """Return the names of all pods that there are."""
        return {each["metadata"]["name"] for each in self.all_pods()}

    def all_pods(self) -> list[Manifest]:
        """Return all that there are, ready or not."""
        selector = f"paquebot.dev/service={SERVICE}"
        found: list[Manifest] = self._cluster.api.get("pods", "-n", self._release.namespace, "-l", selector)["items"]
        return found

    def events(self, reason: str) -> int:
        """Count the namespace's events of a reason."""
        return len(
            self._cluster.api.get("events", "-n", self._release.namespace, f"--field-selector=reason={reason}")["items"]
        )

    def _serves_again(self, before: Manifest) -> bool:
        """Whether a pod was started more often than before, and those that were started are ready."""
        found = self._cluster.api.get("pod", before["metadata"]["name"], "-n", self._release.namespace)
        is_ready = all(each["ready"] for each in found["status"]["containerStatuses"])
        return is_ready and _starts(found) > _starts(before)

    def _volume(self) -> Path:
        claim = self._cluster.api.get("pvc", f"{SERVICE}-queue", "-n", self._release.namespace)
        return Path(self._cluster.api.get("pv", claim["spec"]["volumeName"])["spec"]["hostPath"]["path"])

    def _kubectl(self, *arguments: str) -> None:
        self._cluster.api.kubectl(*arguments, "-n", self._release.namespace)


def _starts(pod: Manifest) -> int:
    return sum(int(each["restartCount"]) for each in pod["status"]["containerStatuses"])


def processes_of(pod: Manifest) -> list[int]:
    """Find the processes of a pod's mail server on this machine: its nodes are processes here, too."""
    return [each for each, command in commands_of(pod).items() if b"paquebot" in command]


def kubelet_of(cluster: Cluster) -> int:
    """Find the kubelet of the node that is lost."""
    root = f"--root-dir={cluster.nodes[LOST_NODE].home / 'kubelet'}".encode()
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if root in place.read_bytes().split(b"\0"):
                return int(place.parent.name)
    raise PeerError(f"node{LOST_NODE} has no kubelet")


def homes_of(process: int) -> set[str]:
    """Find the names of the directories in the queue that a process holds: it keeps their locks open."""
    found = set()
    for place in Path(f"/proc/{process}/fd").iterdir():
        with suppress(OSError):
            opened = place.readlink()
            if opened.name == "lock" and opened.parent.parent.name == "pods":
                found.add(opened.parent.name)
    return found


def commands_of(pod: Manifest) -> dict[int, bytes]:
    """Find all processes of a pod on this machine, with their command lines."""
    uid = pod["metadata"]["uid"]
    found = {}
    for place in Path("/proc").glob("[0-9]*/cgroup"):
        try:
            # systemd's driver of control groups writes underscores.
            if uid in place.read_text().replace("_", "-"):
                found[int(place.parent.name)] = place.with_name("cmdline").read_bytes()
        except OSError:
            continue
    return found
