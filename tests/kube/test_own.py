"""A person's own cluster: used when asked for, never by accident, and never harmed."""

from __future__ import annotations

from pathlib import Path

import pytest

from .control_plane import ControlPlane
from .own import OwnCluster, OwnControlPlane, own_kubeconfig
from .programs import UnavailableError


def test_a_kubeconfig_in_the_environment_alone_is_left_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.touch()
    monkeypatch.setenv("KUBECONFIG", str(path))
    monkeypatch.delenv("PAQUEBOT_TEST_CLUSTER", raising=False)
    assert own_kubeconfig() is None
    monkeypatch.setenv("PAQUEBOT_TEST_CLUSTER", "own")
    assert own_kubeconfig() == path


def test_asking_for_a_cluster_without_naming_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAQUEBOT_TEST_CLUSTER", "own")
    monkeypatch.delenv("KUBECONFIG", raising=False)
    with pytest.raises(UnavailableError, match="KUBECONFIG"):
        own_kubeconfig()


def test_an_own_api_server_is_talked_to_and_not_stopped(apiserver: ControlPlane, tmp_path: Path) -> None:
    own = OwnControlPlane(apiserver.api.kubeconfig, tmp_path)
    assert own.api.url == apiserver.api.url
    assert own.api.ca.read_bytes() == apiserver.api.ca.read_bytes()
    assert "default" in own.api.kubectl("get", "namespaces")
    for method in (own.stop, own.start, own.pause):
        with pytest.raises(pytest.skip.Exception, match="cluster of your own"):
            method()


def test_nodes_of_an_own_cluster_are_not_touched(apiserver: ControlPlane, tmp_path: Path) -> None:
    own = OwnCluster(apiserver.api.kubeconfig, tmp_path)
    assert own.node_addresses == ()
    with pytest.raises(pytest.skip.Exception, match="node 2 lost"):
        own.stop_node(2)
    own.down()
    assert "default" in own.api.kubectl("get", "namespaces")
