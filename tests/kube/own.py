"""A cluster that somebody else runs, for the tests that need no power over its machines; the others are skipped.

Only asked for in so many words, `PAQUEBOT_TEST_CLUSTER=own` beside `KUBECONFIG`: the tests make and delete what they
like there, custom resource definitions and roles included.
"""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import NoReturn

import pytest

from tests.support.processes import run_command

from .api import Api
from .cluster import Cluster
from .control_plane import ControlPlane
from .names import Zones
from .programs import UnavailableError, program

_DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"


def own_kubeconfig() -> Path | None:
    """Return the kubeconfig file of the cluster to use; None for the tests' own. Raises `UnavailableError`."""
    if os.environ.get("PAQUEBOT_TEST_CLUSTER") != "own":
        return None
    path = Path(os.environ.get("KUBECONFIG", ""))
    if not path.is_file():
        raise UnavailableError("PAQUEBOT_TEST_CLUSTER=own, but KUBECONFIG names no file")
    return path


def own_api(kubeconfig: Path, directory: Path) -> Api:
    """Return the API of the current context; its certificate authority is written into `directory`."""
    view = ["config", "view", "--raw", "--minify", "--flatten", "-o", "json"]
    printed = run_command([program("kubectl"), f"--kubeconfig={kubeconfig}", *view]).checked().stdout
    cluster = json.loads(printed)["clusters"][0]["cluster"]
    ca = directory / "ca.crt"
    ca.write_bytes(base64.b64decode(cluster.get("certificate-authority-data", "")))
    return Api(kubeconfig, cluster["server"], ca)


class OwnControlPlane(ControlPlane):
    """An API server that can only be talked to."""

    def __init__(self, kubeconfig: Path, directory: Path) -> None:
        self.directory = directory
        self.api = own_api(kubeconfig, directory)

    def stop(self) -> NoReturn:
        """Skip the test."""
        _skip("its API server ended")

    kill = pause = resume = start = end = stop


class OwnCluster(Cluster):
    """A cluster that can only be talked to. Its nodes have, or can pull, the image PAQUEBOT_TEST_IMAGE."""

    def __init__(self, kubeconfig: Path, directory: Path) -> None:
        self.directory = directory
        self._api = own_api(kubeconfig, directory)

    @property
    def api(self) -> Api:
        """Return the API of KUBECONFIG."""
        return self._api

    @property
    def machine_address(self) -> str:
        """Skip the test."""
        _skip("pods that reach this machine")

    @property
    def node_addresses(self) -> tuple[str, ...]:
        """Return the nodes' internal addresses."""
        addresses = [node["status"]["addresses"] for node in self.api.get("nodes")["items"]]
        return tuple(one["address"] for several in addresses for one in several if one["type"] == "InternalIP")

    @property
    def storage_class(self) -> str:
        """Return the default storage class, which has to know ReadWriteMany."""
        for item in self.api.get("storageclasses")["items"]:
            if item["metadata"].get("annotations", {}).get(_DEFAULT_CLASS) == "true":
                return str(item["metadata"]["name"])
        _skip("a default storage class")

    def load_project_image(self) -> str:
        """Return PAQUEBOT_TEST_IMAGE, or skip the test."""
        return os.environ.get("PAQUEBOT_TEST_IMAGE") or _skip("PAQUEBOT_TEST_IMAGE")

    def load_image(self, archive: Path) -> None:
        """Skip the test."""
        _skip(f"{archive.name} on its nodes")

    def name_image(self, name: str, other: str) -> None:
        """Skip the test."""
        _skip(f"{name} as {other} on its nodes")

    def set_records(self, zones: Zones) -> None:
        """Skip the test."""
        _skip(f"DNS records of {', '.join(zones)}")

    def start_node(self, number: int) -> None:
        """Skip the test."""
        _skip(f"node {number} started")

    def stop_node(self, number: int, *, wait: bool = True) -> None:
        """Skip the test."""
        _skip(f"node {number} {'lost' if wait else 'losing'}")

    def up(self) -> None:
        """Do nothing: it is up."""

    def down(self) -> None:
        """Do nothing: it is somebody else's."""


def _skip(need: str) -> NoReturn:
    pytest.skip(f"a cluster of your own is used, which can't give this test {need}")
