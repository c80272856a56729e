"""A whole Kubernetes on this machine: control plane, two nodes, DNS, volumes; nothing of it outside of its slot.

A slot is a number that gives a cluster its addresses, control group and directory, so that several run beside each
other; slot 0 is the one of `make cluster-up`. Going up twice is going up once; going down works after any crash, as all
that a cluster leaves is found by the slot's number.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path

from tests.support.processes import PeerError, free_port, run_command, wait_until

from . import cgroups
from .api import Api
from .control_plane import Address, ControlPlane
from .daemons import Daemon
from .images import PROJECT_IMAGE, project_image, whole_name
from .keeper import Place
from .names import Zones
from .network import Network
from .node import Node
from .node_config import CNI_PLUGINS, STATUS_SECONDS
from .programs import UnavailableError, program
from .volumes import STORAGE_CLASS, storage_class

ROOT = Path(__file__).resolve().parents[2]
STATE = Path("/var/cache/paquebot-kube")
SLOTS = range(1, 16)
NODES = (1, 2)
_PROGRAMS = ("kubelet", "containerd", "runc", "ctr", "nft", "ip", "unshare", "nsenter")
_READY_SECONDS = 120.0
_LOST_SECONDS = 4 * STATUS_SECONDS


class Cluster:
    """The cluster of a slot, which may be up or down; `api` talks to it as its admin."""

    def __init__(self, slot: int) -> None:
        self.directory = STATE / str(slot)
        self.network = Network(slot)
        self._cgroup = f"/paquebot-kube-{slot}"
        self.nodes = {number: Node(self.directory, number, self.network, self._cgroup) for number in NODES}
        names = ("kube-controller-manager", "kube-scheduler", "keeper", "kube-apiserver", "etcd")
        nodes = (node.name for node in self.nodes.values())
        self.daemons = {name: Daemon(self.directory, name) for name in (*nodes, *names)}

    @cached_property
    def control(self) -> ControlPlane:
        """Return etcd and the API server."""
        network = self.network
        arguments = {
            "advertise-address": network.machine,
            "service-cluster-ip-range": network.services,
            "kubelet-preferred-address-types": "InternalIP",
            "default-not-ready-toleration-seconds": 5,
            "default-unreachable-toleration-seconds": 5,
        }
        return ControlPlane(
            self.directory,
            address=Address(host=network.machine, port=6443),
            extra_arguments=[f"--{name}={value}" for name, value in arguments.items()],
            hosts=(network.first_service, "kubernetes.default.svc.cluster.local"),
        )

    @property
    def is_up(self) -> bool:
        """Tell whether it was started and not taken down, without touching anything."""
        return self.daemons["kube-apiserver"].pid is not None

    @property
    def api(self) -> Api:
        """Return kubectl, Helm and the like, as the cluster's admin."""
        return self.control.api

    @property
    def machine_address(self) -> str:
        """Return where pods reach what a test starts on the machine."""
        return self.network.machine

    @property
    def node_addresses(self) -> tuple[str, ...]:
        """Return the addresses of the nodes, for NodePorts."""
        return tuple(self.network.node(number) for number in NODES)

    @property
    def storage_class(self) -> str:
        """Return the name of the class whose claims bind at once, ReadWriteMany and others."""
        return STORAGE_CLASS

    @property
    def place(self) -> Place:
        """Return what the keeper needs to know."""
        certificates = self.control.authority.directory
        return Place(
            url=self.api.url,
            ca=self.api.ca,
            certificate=certificates / "admin.crt",
            key=certificates / "admin.key",
            address=self.network.machine,
            records=self.directory / "records.json",
            directory=self.directory / "volumes",
        )

    def up(self) -> None:
        """Start what does not run, and wait until the nodes are ready. Raises `UnavailableError`, `PeerError`."""
        check_machine()
        if self.network.is_foreign():
            raise UnavailableError(f"this machine has routes of its own below {self.network.prefix}.0.0")
        self.directory.mkdir(parents=True, exist_ok=True)
        self.network.set_up_machine()
        self.control.start()
        self._start_controllers()
        for number in NODES:
            self._start(number)
        self.api.apply(storage_class())
        for number in NODES:
            self._wait_for_node(number, is_ready=True)
        self._wait_for_accounts()

    def down(self) -> None:
        """End everything and remove every trace, whoever started it and however that ended."""
        for node in self.nodes.values():
            node.end()
        for daemon in self.daemons.values():
            daemon.end(grace_seconds=1.0)
        cgroups.remove(self._cgroup)
        self.network.take_down_machine()
        shutil.rmtree(self.directory, ignore_errors=True)
        with suppress(OSError):
            STATE.rmdir()
        self.__dict__.pop("control", None)

    def start_node(self, number: int) -> None:
        """Bring a node up, and wait until it is ready."""
        self._start(number)
        self._wait_for_node(number, is_ready=True)

    def stop_node(self, number: int, *, wait: bool = True) -> None:
        """Lose a node: its processes end at once, its links are gone. Waits until the cluster has noticed."""
        self.nodes[number].end()
        if wait:
            self._wait_for_node(number, is_ready=False)

    def load_project_image(self) -> str:
        """Build the project's image where that was not done, give it to both nodes, and return its name."""
        archive = project_image()
        for node in self.nodes.values():
            loaded = node.home / "project-image"
            # The archive's name tells its content; to unpack one again takes seconds.
            if not loaded.exists() or loaded.read_text() != archive.name:
                node.load_image(archive)
                loaded.write_text(archive.name)
        return PROJECT_IMAGE

    def load_image(self, archive: Path) -> None:
        """Give both nodes the images of a docker or OCI archive. Raises `PeerError`."""
        for node in self.nodes.values():
            node.load_image(archive)

    def name_image(self, name: str, other: str) -> None:
        """Give an image that is on both nodes another name, too: the same program as another version."""
        for node in self.nodes.values():
            node.name_image(whole_name(name), whole_name(other))

    def exec(self, namespace: str, pod: str, *argv: str, timeout_seconds: float = 60.0) -> str:
        """Run a command in a pod, and return what it printed. Raises `PeerError` when it fails."""
        return self.api.kubectl("exec", "-n", namespace, pod, "--", *argv, timeout_seconds=timeout_seconds)

    def set_records(self, zones: Zones) -> None:
        """Let pods resolve these names, beside what they resolve already; none of a name's records removes it."""
        path = self.place.records
        records = {**json.loads(path.read_text()), **zones}
        new = path.with_suffix(".new")
        new.write_text(json.dumps({name: kinds for name, kinds in records.items() if kinds}))
        new.replace(path)

    def _start_controllers(self) -> None:
        if not self.place.records.exists():
            self.place.records.write_text("{}")
        self._start_daemon("kube-controller-manager", *self._controller_arguments())
        self._start_daemon("kube-scheduler", *self._common_arguments("system:kube-scheduler"))
        keeper = self.daemons["keeper"]
        if keeper.pid is None:
            argv = [sys.executable, "-m", "tests.kube", "keep", str(self.network.slot)]
            keeper.start(argv, env={"PYTHONPATH": str(ROOT)})

    def _start_daemon(self, name: str, *arguments: str) -> None:
        daemon = self.daemons[name]
        if daemon.pid is None:
            daemon.start([program(name), *arguments])

    def _common_arguments(self, user: str) -> list[str]:
        kubeconfig = self.control.authority.kubeconfig(self.api.url, user)
        return [
            f"--kubeconfig={kubeconfig}",
            "--leader-elect=false",
            "--bind-address=127.0.0.1",
            f"--secure-port={free_port()}",
        ]

    def _controller_arguments(self) -> list[str]:
        certificates = self.control.authority.directory
        return [
            *self._common_arguments("system:kube-controller-manager"),
            f"--root-ca-file={self.api.ca}",
            f"--service-account-private-key-file={certificates / 'accounts.key'}",
            "--use-service-account-credentials=true",
            f"--node-monitor-grace-period={_LOST_SECONDS}s",
            f"--node-monitor-period={STATUS_SECONDS}s",
        ]

    def _start(self, number: int) -> None:
        node = self.nodes[number]
        if node.is_up:
            return
        node.end()
        pid = node.start(self.api.url, self.control.authority)
        self.network.link_machine(number, pid)
        for other in self.nodes.values():
            if other is not node and other.pid is not None:
                self.network.link_nodes((number, pid), (other.number, other.pid))
        node.go_on()

    def _wait_for_node(self, number: int, *, is_ready: bool) -> None:
        path = "jsonpath={.status.conditions[?(@.type=='Ready')].status}"

        def seen() -> bool:
            status = self.api.run("get", "node", f"node{number}", "-o", path).stdout
            return bool(status) and (status == b"True") == is_ready

        try:
            wait_until(seen, f"node{number} {'ready' if is_ready else 'lost'}", _READY_SECONDS)
        except PeerError as error:
            raise PeerError(f"{error}; see the logs in {self.nodes[number].home}") from None

    def _wait_for_accounts(self) -> None:
        """Wait until pods may be made: the controller-manager makes each namespace's account."""
        wait_until(lambda: self.api.run("get", "serviceaccount", "default").returncode == 0, "accounts", _READY_SECONDS)


@contextmanager
def running_cluster() -> Iterator[Cluster]:
    """Yield a cluster of a slot that nobody has, and take it down afterwards. Raises `UnavailableError`."""
    check_machine()
    with free_slot() as slot:
        cluster = Cluster(slot)
        cluster.down()
        try:
            cluster.up()
            yield cluster
        finally:
            cluster.down()


@contextmanager
def free_slot() -> Iterator[int]:
    """Yield a slot that is this process's as long as it lives: what lies in it else is a dead one's."""
    for slot in SLOTS:
        lock = Path(f"/run/lock/paquebot-kube-{slot}").open("w")  # noqa: SIM115
        with lock, suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield slot
            return
    raise UnavailableError(f"{len(SLOTS)} clusters run on this machine already")


def check_machine() -> None:
    """Raise `UnavailableError` that says what is missing for a cluster."""
    if os.geteuid() != 0:
        raise UnavailableError("a cluster with nodes needs root")
    for name in _PROGRAMS:
        program(name)
    if not (CNI_PLUGINS / "ptp").exists():
        raise UnavailableError(f"{CNI_PLUGINS}/ptp is missing: run `make packages`")
    tried = run_command([program("unshare"), "--mount", "--net", "--pid", "--fork", "true"])
    if tried.returncode != 0:
        raise UnavailableError(f"no namespaces here: {tried.stderr.decode().strip()}")
