"""A cluster survives the crash of whoever started it, and leaves nothing on the machine when it is taken down."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.processes import run_command, wait_until

from . import cgroups
from .cluster import ROOT, Cluster, free_slot
from .fixtures import skip_without

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


def traces(cluster: Cluster) -> list[str]:
    """Return what there is of a cluster on this machine."""
    prefix = cluster.network.prefix
    addresses = run_command(["ip", "-o", "address"]).stdout.decode().splitlines()
    mounts = Path("/proc/mounts").read_text().splitlines()
    return [
        *processes_of(cluster),
        *(str(path) for path in cgroups.left_over(f"/paquebot-kube-{cluster.network.slot}")),
        *(line for line in addresses if f" {prefix}." in line or f"pq{cluster.network.slot}n" in line),
        *(line for line in mounts if str(cluster.directory) in line),
        *([str(cluster.directory)] if cluster.directory.exists() else []),
    ]


def processes_of(cluster: Cluster) -> Iterator[str]:
    """Yield the command lines of processes that name the cluster's directory, or keep its names."""
    marks = (f"{cluster.directory}/", f"keep {cluster.network.slot}", f"@ {cluster.directory} ")
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if any(mark in line for mark in marks):
            yield line


def start_and_kill(cluster: Cluster) -> None:
    """Kill what starts the cluster, as soon as its first node has a process."""
    script = f"from tests.kube.cluster import Cluster; Cluster({cluster.network.slot}).up()"
    with subprocess.Popen([sys.executable, "-c", script], cwd=ROOT) as starting:
        try:
            wait_until((cluster.directory / "node1.pid").exists, "a node's process", 60)
        finally:
            starting.kill()


@pytest.fixture(scope="module")
def other(kube_programs: Path) -> Iterator[Cluster]:
    """Yield a cluster of its own that is down, and will be."""
    with skip_without(), free_slot() as slot:
        cluster = Cluster(slot)
        cluster.down()
        try:
            yield cluster
        finally:
            cluster.down()


def test_nothing_is_left_when_the_start_was_killed(other: Cluster) -> None:
    start_and_kill(other)
    assert traces(other)
    other.down()
    assert traces(other) == []


def test_a_crashed_cluster_comes_up_again_and_keeps_its_objects(other: Cluster) -> None:
    tables = run_command(["nft", "list", "tables"]).stdout
    start_and_kill(other)
    other.up()
    other.api.kubectl("create", "configmap", "kept")
    for name in ("etcd", "kube-apiserver", "keeper", "node2"):
        other.daemons[name].end(grace_seconds=0.0)
    other.up()
    other.api.kubectl("get", "configmap", "kept")
    other.down()
    assert traces(other) == []
    assert run_command(["nft", "list", "tables"]).stdout == tables
