"""`python -m tests.kube up | down`: the tests' cluster for a person; `keep SLOT` is what it runs for itself."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Callable

from tests.support.processes import PeerError

from .cluster import Cluster
from .keeper import keep
from .programs import UnavailableError, directory

PERSONAL_SLOT = 0


def _up() -> None:
    cluster = Cluster(PERSONAL_SLOT)
    cluster.up()
    print(f"Two nodes are ready. For kubectl and helm:\n\n  export KUBECONFIG={cluster.api.kubeconfig}")
    print(f"  export PATH={directory()}:$PATH\n\nVolumes: storage class {cluster.storage_class}.", end=" ")
    print(f"Pods reach this machine at {cluster.machine_address}, and nothing else.\nLogs: {cluster.directory}")


def _down() -> None:
    Cluster(PERSONAL_SLOT).down()


def _keep(slot: str) -> None:
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(keep(Cluster(int(slot)).place))


_COMMANDS: dict[str, Callable[..., None]] = {"up": _up, "down": _down, "keep": _keep}


def main(command: str, *arguments: str) -> int:
    """Do what the command says; return the exit status."""
    try:
        _COMMANDS[command](*arguments)
    except (UnavailableError, PeerError) as error:
        print(f"cluster: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
