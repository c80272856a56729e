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


_WELCOME = """\
Two nodes are ready, and have the image {image}. For kubectl and helm:

  export KUBECONFIG={kubeconfig}
  export PATH={programs}:$PATH

Volumes: storage class {storage_class}, ReadWriteMany. Pods reach this machine at {machine}, and nothing else.
Logs: {logs}. Take it away: make cluster-down
"""


def _up() -> None:
    cluster = Cluster(PERSONAL_SLOT)
    cluster.up()
    values = {
        "image": cluster.load_project_image(),
        "kubeconfig": cluster.api.kubeconfig,
        "programs": directory(),
        "storage_class": cluster.storage_class,
        "machine": cluster.machine_address,
        "logs": cluster.directory,
    }
    print(_WELCOME.format(**values), end="")


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
