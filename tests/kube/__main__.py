"""`python -m tests.kube up | env | down`: the tests' cluster for a person; `keep SLOT` is what it runs for itself.

PAQUEBOT_CLUSTER_SLOT says which one, where several are wanted (`cluster`).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import sys
from collections.abc import Callable

from tests.support.processes import PeerError

from .cluster import Cluster
from .keeper import keep
from .programs import UnavailableError, directory

PERSONAL_SLOT = 0

_WELCOME = """\
Two nodes are ready, and have the image {image}. For kubectl and helm: eval "$(make cluster-env)", which says

{environment}

Volumes: storage class {storage_class}, ReadWriteMany. Pods reach this machine at {machine}, and nothing else.
Logs: {logs}. Take it away: make cluster-down
"""


def _personal() -> Cluster:
    return Cluster(int(os.environ.get("PAQUEBOT_CLUSTER_SLOT", PERSONAL_SLOT)))


def _up() -> None:
    cluster = _personal()
    cluster.up()
    values = {
        "image": cluster.load_project_image(),
        "environment": _environment(cluster),
        "storage_class": cluster.storage_class,
        "machine": cluster.machine_address,
        "logs": cluster.directory,
    }
    print(_WELCOME.format(**values), end="")


def _environment(cluster: Cluster) -> str:
    """Return the lines of a shell that make kubectl and helm talk to the cluster."""
    kubeconfig, programs = shlex.quote(str(cluster.api.kubeconfig)), shlex.quote(str(directory()))
    return f'export KUBECONFIG={kubeconfig}\nexport PATH={programs}:"$PATH"'


def _env() -> None:
    cluster = _personal()
    if not cluster.is_up:
        raise UnavailableError("there is none: run `make cluster-up`")
    print(_environment(cluster))


def _down() -> None:
    _personal().down()


def _keep(slot: str) -> None:
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(keep(Cluster(int(slot)).place))


_COMMANDS: dict[str, Callable[..., None]] = {"up": _up, "env": _env, "down": _down, "keep": _keep}


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
