"""Fixtures of a real Kubernetes: `apiserver`, `namespace`, `cluster`; see README.md beside this file.

A test that asks for one of them is an `integration` test by that alone, and has time to wait for it. A machine that
can't have one says why: the test is skipped, and in CI fails.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest

if TYPE_CHECKING:
    from .cluster import Cluster
    from .control_plane import ControlPlane

RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}
_SECONDS = {"kube_programs": 180, "apiserver": 400, "start_apiserver": 400, "cluster": 600}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that ask for a real Kubernetes, before marks select anything."""
    for item in items:
        seconds = max((_SECONDS.get(name, 0) for name in getattr(item, "fixturenames", ())), default=0)
        if seconds:
            item.add_marker(pytest.mark.integration)
        if seconds and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(seconds))


@pytest.fixture(scope="session")
def kube_programs() -> Path:
    """Return the directory of kubectl, helm and the others."""
    from . import programs  # here and below: most runs ask for no Kubernetes and need none of its imports

    with skip_without():
        return programs.directory()


@pytest.fixture(scope="session")
def apiserver(kube_programs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """Yield etcd and kube-apiserver, one for all tests: `apiserver.api` talks to it."""
    from .control_plane import running_control_plane
    from .own import OwnControlPlane, own_kubeconfig

    directory = tmp_path_factory.mktemp("apiserver")
    with skip_without():
        own = own_kubeconfig()
    if own is not None:
        yield OwnControlPlane(own, directory)
        return
    with running_control_plane(directory) as plane:
        yield plane


class StartApiserver(Protocol):
    """Starts an API server of a test's own, with its options."""

    def __call__(
        self, directory: Path, *, compaction_seconds: int = 300, extra_arguments: tuple[str, ...] = ()
    ) -> AbstractContextManager[ControlPlane]:
        """Return a context with the API server."""
        ...


@pytest.fixture
def start_apiserver(kube_programs: Path) -> StartApiserver:
    """Return `running_control_plane`, for a test that stops, pauses or compacts: `with start_apiserver(tmp_path)`."""
    from .control_plane import running_control_plane

    return running_control_plane


@pytest.fixture
def namespace(apiserver: ControlPlane) -> str:
    """Return a fresh namespace of `apiserver`, with Pod Security "restricted"."""
    return apiserver.api.new_namespace(RESTRICTED)


@contextmanager
def skip_without() -> Iterator[None]:
    """Skip the test, with the reason, when the machine can't have what the block asks for."""
    from .programs import UnavailableError

    try:
        yield
    except UnavailableError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def cluster(kube_programs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Yield a whole cluster of two nodes, one for all tests."""
    from .cluster import running_cluster
    from .own import OwnCluster, own_kubeconfig

    with skip_without():
        own = own_kubeconfig()
    if own is not None:
        yield OwnCluster(own, tmp_path_factory.mktemp("cluster"))
        return
    with skip_without(), running_cluster() as up:
        yield up


@pytest.fixture(scope="session")
def project_image(cluster: Cluster) -> str:
    """Return the name of the project's image, built from its Dockerfile, which both nodes of `cluster` have."""
    with skip_without():
        return cluster.load_project_image()


@pytest.fixture
def cluster_namespace(cluster: Cluster) -> Iterator[str]:
    """Yield a fresh namespace of `cluster`, with Pod Security "restricted"; its objects are deleted afterwards."""
    name = cluster.api.new_namespace(RESTRICTED)
    yield name
    cluster.api.kubectl("delete", "namespace", name, "--wait=false")
