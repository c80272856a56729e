"""etcd and kube-apiserver: the Kubernetes API without a node, as real as it gets, up in seconds.

Everything lies below one directory; a second instance on the same directory has the same data, certificates and ports.
Flags as controller-runtime's envtest has them, but for RBAC, and etcd without fsync: a power loss may cost a test.
"""

from __future__ import annotations

import http.client
import json
import signal
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.support.processes import LOOPBACK, free_port

from .api import Api
from .authority import ADMIN, Authority, write_key
from .daemons import Daemon
from .programs import program

START_SECONDS = 120.0
ANSWER_SECONDS = 10.0
"""A machine with other things to do takes seconds for a handshake: who gives up then asks for ever."""
NO_ACCOUNTS = ("--disable-admission-plugins=ServiceAccount", "--endpoint-reconciler-type=none")
"""Where no controller-manager makes the accounts, and no pod asks for the `kubernetes` Service."""


@dataclass(frozen=True)
class Address:
    """Where the API server and etcd listen; etcd on loopback only."""

    host: str = LOOPBACK
    port: int = field(default_factory=free_port)
    etcd_port: int = field(default_factory=free_port)
    peer_port: int = field(default_factory=free_port)


class ControlPlane:
    """etcd and an API server below `directory`; `api` is how to talk to it as its admin.

    `extra_arguments` go to kube-apiserver; `compaction_seconds` says after how long old revisions are forgotten, so
    that a watch that was away for longer gets 410 Gone; `hosts` are further names and addresses of its certificate.
    """

    def __init__(
        self,
        directory: Path,
        *,
        address: Address | None = None,
        compaction_seconds: int = 300,
        extra_arguments: Sequence[str] = NO_ACCOUNTS,
        hosts: Sequence[str] = (),
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.address = _remembered(directory / "address.json", address)
        self.authority = Authority(directory / "certificates")
        self._hosts = ("kubernetes", "kubernetes.default", "kubernetes.default.svc", self.address.host, *hosts)
        self._extra = (f"--etcd-compaction-interval={compaction_seconds}s", *extra_arguments)
        self.etcd = Daemon(directory, "etcd")
        self.apiserver = Daemon(directory, "kube-apiserver")
        url = f"https://{self.address.host}:{self.address.port}"
        self.api = Api(self.authority.kubeconfig(url, *ADMIN), url, self.authority.path)

    def start(self) -> None:
        """Start what does not run, and wait until the API server is ready."""
        if self.etcd.pid is None:
            self.etcd.start([program("etcd"), *_etcd_arguments(self.directory, self.address)])
        if self.apiserver.pid is None:
            self.apiserver.start([program("kube-apiserver"), *self._arguments(), *self._extra])
        self.apiserver.wait_for(self.is_ready, "/readyz", START_SECONDS)

    def stop(self) -> None:
        """End the API server; etcd keeps the data. `start` brings it back."""
        self.apiserver.end(grace_seconds=5.0)

    def kill(self) -> None:
        """End the API server at once, its connections broken."""
        self.apiserver.end(grace_seconds=0.0)

    def pause(self) -> None:
        """Let the API server hang: connections stay open, nothing is answered."""
        self.apiserver.signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused API server go on."""
        self.apiserver.signal(signal.SIGCONT)

    def end(self) -> None:
        """End both; the data stay in the directory."""
        self.apiserver.end(grace_seconds=1.0)
        self.etcd.end(grace_seconds=1.0)

    def is_ready(self) -> bool:
        """Tell whether the API server says that it can serve."""
        context = ssl.create_default_context(cafile=self.authority.path)
        context.load_cert_chain(self.authority.directory / "admin.crt", self.authority.directory / "admin.key")
        connection = http.client.HTTPSConnection(
            self.address.host, self.address.port, timeout=ANSWER_SECONDS, context=context
        )
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == http.HTTPStatus.OK
        except OSError:
            return False
        finally:
            connection.close()

    def _arguments(self) -> list[str]:
        certificate, key = self.authority.issue("apiserver", "kube-apiserver", hosts=self._hosts)
        kubelet_certificate, kubelet_key = self.authority.issue("apiserver-kubelet", *ADMIN)
        accounts = self.authority.directory / "accounts.key"
        if not accounts.exists():
            write_key(accounts)
        options = {
            "etcd-servers": f"http://{LOOPBACK}:{self.address.etcd_port}",
            "bind-address": self.address.host,
            "secure-port": self.address.port,
            "tls-cert-file": certificate,
            "tls-private-key-file": key,
            "client-ca-file": self.authority.path,
            "kubelet-client-certificate": kubelet_certificate,
            "kubelet-client-key": kubelet_key,
            "service-account-issuer": self.api.url,
            "service-account-key-file": accounts,
            "service-account-signing-key-file": accounts,
            "authorization-mode": "Node,RBAC",
            "allow-privileged": "true",
            "v": 1,
        }
        return [f"--{name}={value}" for name, value in options.items()]


@contextmanager
def running_control_plane(
    directory: Path, *, compaction_seconds: int = 300, extra_arguments: Sequence[str] = ()
) -> Iterator[ControlPlane]:
    """Yield a control plane of its own below `directory`, ended afterwards."""
    plane = ControlPlane(
        directory, compaction_seconds=compaction_seconds, extra_arguments=(*NO_ACCOUNTS, *extra_arguments)
    )
    try:
        plane.start()
        yield plane
    finally:
        plane.end()


def _remembered(path: Path, address: Address | None) -> Address:
    """Return the address that is written down, else write down this one."""
    if path.exists():
        return Address(**json.loads(path.read_text()))
    chosen = address or Address()
    path.write_text(json.dumps(replace(chosen).__dict__))
    return chosen


def _etcd_arguments(directory: Path, address: Address) -> list[str]:
    clients, peers = (f"http://{LOOPBACK}:{port}" for port in (address.etcd_port, address.peer_port))
    options = {
        "data-dir": directory / "etcd",
        "listen-client-urls": clients,
        "advertise-client-urls": clients,
        "listen-peer-urls": peers,
        "initial-advertise-peer-urls": peers,
        "initial-cluster": f"default={peers}",
        "quota-backend-bytes": 4 * 1024**3,
        "log-level": "warn",
    }
    return ["--unsafe-no-fsync", *(f"--{name}={value}" for name, value in options.items())]
