"""A node: kubelet, containerd and kube-proxy in namespaces of their own, as one process that can be lost.

Its links to others are made by the cluster, between `start` and `go_on`.
"""

from __future__ import annotations

import os
import shlex
import shutil
from pathlib import Path

from tests.support.processes import CommandResult, PeerError, find_program, run_command

from . import cgroups, node_config
from .authority import Authority
from .daemons import Daemon
from .images import PAUSE, write_program_image
from .network import Network
from .node_config import SOCKET, NodeSettings
from .programs import directory as programs_directory
from .programs import program

_START_SECONDS = 20.0
_IMPORT_SECONDS = 180.0
_SCRIPT = Path(__file__).with_name("node.sh")
_NAMESPACES = ("--mount", "--net", "--pid", "--fork", "--kill-child=SIGKILL", "--mount-proc", "--propagation=private")


class Node:
    """Node `number` of a cluster whose files lie in `directory`."""

    def __init__(self, directory: Path, number: int, network: Network, cgroup: str) -> None:
        self.number = number
        self.name = f"node{number}"
        self.home = directory / self.name
        self._network = network
        self._cgroup = f"{cgroup}/{self.name}"
        self._daemon = Daemon(directory, self.name)
        self._snapshotter = "native" if _is_overlay(directory) else "overlayfs"

    @property
    def pid(self) -> int | None:
        """Return a process in the node's namespaces but the one of processes; None while the node is down."""
        return self._daemon.pid

    @property
    def is_up(self) -> bool:
        """Tell whether it runs and has got its links."""
        return self.pid is not None and (self.home / "linked").exists()

    def start(self, url: str, authority: Authority) -> int:
        """Start the first process, and return its id; it waits for its links. Raises `PeerError`."""
        self._write(url, authority)
        cgroups.make(self._cgroup)
        for mark in ("born", "linked"):
            (self.home / mark).unlink(missing_ok=True)
        script = [shutil.which("sh") or "/bin/sh", str(_SCRIPT), str(self.home)]
        env = {"PATH": os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])}
        self._daemon.start([find_program("unshare"), *_NAMESPACES, "--", *script], env=env)
        self._daemon.wait_for((self.home / "born").exists, "its namespaces", _START_SECONDS)
        pid = self._daemon.pid
        if pid is None:
            raise PeerError(f"{self.name} ended at once:\n{self._daemon.log_tail()}")
        return pid

    def go_on(self) -> None:
        """Start the programs, now that the links are there."""
        (self.home / "linked").touch()

    def end(self) -> None:
        """End everything in the node at once, as a power cut does; its disk stays."""
        self._daemon.end(grace_seconds=0.0)
        cgroups.remove(self._cgroup)

    def run(self, *argv: str, timeout_seconds: float = 30.0) -> CommandResult:
        """Run a command in the node's mount and network namespaces."""
        enter = [find_program("nsenter"), "-t", str(self.pid), "-m", "-n", "--"]
        return run_command([*enter, *argv], timeout_seconds=timeout_seconds)

    def load_image(self, archive: Path) -> None:
        """Give the node the images of a docker or OCI archive. Raises `PeerError`."""
        self.run(*self._import(archive), timeout_seconds=_IMPORT_SECONDS).checked()

    def name_image(self, name: str, other: str) -> None:
        """Give an image that the node has another name, too. Both are whole: `localhost/paquebot:test`, say."""
        self.run(*_images("tag", "--force"), name, other).checked()

    def _import(self, archive: Path) -> list[str]:
        return [*_images("import"), "--snapshotter", self._snapshotter, str(archive)]

    def _write(self, url: str, authority: Authority) -> None:
        (self.home / "cni").mkdir(parents=True, exist_ok=True)
        settings = self._settings(authority)
        proxy = authority.kubeconfig(url, "system:kube-proxy")
        kubelet = authority.kubeconfig(url, f"system:node:{self.name}", ("system:nodes",))
        files = {
            "containerd.toml": node_config.containerd_config(settings),
            "cni/pods.conflist": node_config.pod_network(settings),
            "kubelet.json": node_config.kubelet_config(settings),
            "kube-proxy.json": node_config.kube_proxy_config(settings, proxy),
            "resolv.conf": f"nameserver {settings.dns}\n",
            "programs.sh": self._programs(kubelet),
        }
        for name, text in files.items():
            (self.home / name).write_text(text)
        write_program_image(self.home / "pause.tar", programs_directory() / "pause", PAUSE)

    def _settings(self, authority: Authority) -> NodeSettings:
        address = self._network.node(self.number)
        certificate, key = authority.issue(f"{self.name}-server", self.name, hosts=(self.name, address))
        return NodeSettings(
            name=self.name,
            home=self.home,
            address=address,
            dns=self._network.machine,
            pods=self._network.node_pods(self.number),
            all_pods=self._network.pods,
            cgroup=self._cgroup,
            ca=authority.path,
            certificate=certificate,
            key=key,
            snapshotter=self._snapshotter,
        )

    def _programs(self, kubeconfig: Path) -> str:
        """Return the shell lines that start what runs on the node."""
        kubelet = [
            program("kubelet"),
            f"--config={self.home / 'kubelet.json'}",
            f"--kubeconfig={kubeconfig}",
            f"--root-dir={self.home / 'kubelet'}",
            f"--hostname-override={self.name}",
            f"--node-ip={self._network.node(self.number)}",
            f"--node-labels=topology.kubernetes.io/zone=zone{self.number}",
        ]
        proxy = [program("kube-proxy"), f"--config={self.home / 'kube-proxy.json'}"]
        started = [f"{shlex.join(argv)} >>{_log(self.home, argv)} 2>&1 &" for argv in (kubelet, proxy)]
        return "\n".join([f"{shlex.join(self._import(self.home / 'pause.tar'))} >/dev/null", *started, ""])


def _images(*command: str) -> list[str]:
    return [find_program("ctr"), "-a", SOCKET, "-n", "k8s.io", "images", *command]


def _log(home: Path, argv: list[str]) -> str:
    return shlex.quote(str(home / f"{Path(argv[0]).name}.log"))


def _is_overlay(directory: Path) -> bool:
    """Tell whether the directory lies on an overlay, as in a container: the kernel stacks no overlay on that one."""
    kind = run_command([find_program("stat"), "-f", "-c", "%T", str(_existing(directory))]).stdout
    return kind.strip() == b"overlayfs"


def _existing(path: Path) -> Path:
    return path if path.exists() else _existing(path.parent)
