"""The README's lines about a cluster do what they promise, as they stand there, from nothing to a delivered mail."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kube.cluster import Cluster, check_machine, free_slot
from tests.kube.fixtures import skip_without
from tests.support.processes import run_command

ROOT = Path(__file__).resolve().parents[2]
MOST_LINES = 10
SECONDS = 420.0
# What a shell of a person doesn't have: this run's own make, and another cluster.
NOT_THEIRS = ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "KUBECONFIG", "PAQUEBOT_TEST_CLUSTER")

pytestmark = [pytest.mark.integration, pytest.mark.timeout(SECONDS + 60.0)]


def lines_of_readme() -> list[str]:
    """The shell lines of the chapter about a cluster."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    found = re.search(r"^## In a cluster$.*?^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1].splitlines()


@pytest.fixture
def other() -> Iterator[Cluster]:
    """A place for a cluster, with nothing there."""
    with skip_without():
        check_machine()
    with skip_without(), free_slot() as slot:
        cluster = Cluster(slot)
        cluster.down()
        try:
            yield cluster
        finally:
            cluster.down()


def test_a_few_lines_are_all_it_takes() -> None:
    lines = lines_of_readme()
    assert len(lines) <= MOST_LINES
    assert not any(line.endswith("\\") for line in lines)


@pytest.mark.usefixtures("kube_programs")
def test_the_lines_of_the_readme_deliver_a_mail(other: Cluster, tmp_path: Path) -> None:
    script, log = tmp_path / "readme.sh", tmp_path / "readme.log"
    settings = [f"unset {' '.join(NOT_THEIRS)}", f"export PAQUEBOT_CLUSTER_SLOT={other.network.slot}", f"cd {ROOT}"]
    script.write_text("\n".join(["set -eux", f"exec >{log} 2>&1", *settings, *lines_of_readme(), ""]))
    status = run_command(["timeout", f"{SECONDS:.0f}", "bash", str(script)], timeout_seconds=SECONDS + 10.0).returncode
    printed = log.read_text()
    assert status == 0, printed[-8_000:]
    for line in ("queued as ", "Subject: Bon voyage", "Delivered-To: alice@example.test", "\nThrough a Service\n"):
        assert line in printed


def test_without_a_cluster_a_shell_is_told_so(other: Cluster) -> None:
    slot = f"PAQUEBOT_CLUSTER_SLOT={other.network.slot}"
    done = run_command(["env", slot, "make", "-C", str(ROOT), "cluster-env"])
    assert done.returncode != 0
    assert b"run `make cluster-up`" in done.stderr
    assert b"export" not in done.stdout
    assert not other.directory.exists()
