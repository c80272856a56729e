"""A Kubernetes API as tests use it: through kubectl and Helm, as admin or as a ServiceAccount.

Must not know who runs the API server.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.processes import CommandResult, run_command

from .authority import write_kubeconfig
from .programs import program

Manifest = dict[str, Any]
"""An object as its YAML or JSON says."""

COMMAND_SECONDS = 60.0


@dataclass(frozen=True)
class Api:
    """`kubeconfig` is the admin's; `ca` and `url` are what another client needs."""

    kubeconfig: Path
    url: str
    ca: Path

    def run(self, *args: str, stdin: str = "", timeout_seconds: float = COMMAND_SECONDS) -> CommandResult:
        """Run kubectl and return how it ended, well or not."""
        argv = [program("kubectl"), f"--kubeconfig={self.kubeconfig}", *args]
        return run_command(argv, stdin=stdin.encode(), timeout_seconds=timeout_seconds)

    def kubectl(self, *args: str, stdin: str = "", timeout_seconds: float = COMMAND_SECONDS) -> str:
        """Run kubectl and return what it printed. Raises `PeerError` when it fails."""
        return self.run(*args, stdin=stdin, timeout_seconds=timeout_seconds).checked().stdout.decode()

    def helm(self, *args: str, stdin: str = "", timeout_seconds: float = 4 * COMMAND_SECONDS) -> str:
        """Run Helm and return what it printed. Raises `PeerError` when it fails."""
        argv = [program("helm"), f"--kubeconfig={self.kubeconfig}", *args]
        return run_command(argv, stdin=stdin.encode(), timeout_seconds=timeout_seconds).checked().stdout.decode()

    def get(self, *args: str) -> Manifest:
        """Return the object or list that `kubectl get ARGS` finds."""
        found: Manifest = json.loads(self.kubectl("get", *args, "-o", "json"))
        return found

    def apply(self, *manifests: Manifest, namespace: str = "default") -> None:
        """Apply objects on the server's side. Raises `PeerError` when one is refused."""
        self.kubectl("apply", "--server-side", "-n", namespace, "-f", "-", stdin=as_list(*manifests))

    def new_namespace(self, labels: dict[str, str] | None = None) -> str:
        """Make a namespace that nobody else has, and return its name."""
        name = f"t-{uuid.uuid4().hex[:10]}"
        manifest = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels or {}}}
        self.kubectl("create", "-f", "-", stdin=as_list(manifest))
        return name

    def token_for(self, namespace: str, service_account: str, seconds: int = 3_600) -> str:
        """Return a bearer token of a ServiceAccount, which has to exist."""
        printed = self.kubectl("create", "token", service_account, "-n", namespace, f"--duration={seconds}s")
        return printed.strip()

    def kubeconfig_for(self, namespace: str, service_account: str, directory: Path) -> Path:
        """Return the path of a kubeconfig file, made in `directory`, that is a ServiceAccount's."""
        user = {"token": self.token_for(namespace, service_account)}
        return write_kubeconfig(directory / f"{namespace}-{service_account}.kubeconfig", self.url, self.ca, user)

    def can(self, namespace: str, service_account: str, *question: str) -> bool:
        """Ask the API server whether a ServiceAccount may do something: `("get", "secrets", "-n", "other")`."""
        user = f"--as=system:serviceaccount:{namespace}:{service_account}"
        return self.run("auth", "can-i", user, *question).stdout.strip() == b"yes"


def as_list(*manifests: Manifest) -> str:
    """Return objects as one document for `kubectl -f -`."""
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": list(manifests)})
