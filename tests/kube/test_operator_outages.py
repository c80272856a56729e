"""The API server is away, for long or for short: nothing stale, nothing lost, pods go on, the operator comes back."""

from __future__ import annotations

import http.client
import json
import os
import smtplib
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.processes import LOOPBACK, free_port

from .control_plane import ControlPlane, running_control_plane
from .mini_kubelet import mirrored_pods
from .operator_case import SERVICE, Case, eventually, install_definitions, mail_domain, mail_service
from .operator_process import kept_operator
from .real_pods import RealPod, real_pods
from .tamper import tampered

OUTAGE_SECONDS = float(os.environ.get("PAQUEBOT_OUTAGE_SECONDS", "14"))
"""Longer than the Lease lasts without a renewal. The same with 120 seconds tells nothing new, and takes longer."""
RECOVERY_SECONDS = 60.0


@pytest.fixture(scope="module")
def plane(kube_programs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """An API server that only these tests stop, and that remembers no more of the past than etcd does."""
    with running_control_plane(tmp_path_factory.mktemp("outages"), extra_arguments=("--watch-cache=false",)) as plane:
        install_definitions(plane)
        yield plane


def takes_mail_for(port: int, domain: str) -> bool:
    """Whether a client is allowed to name a recipient of the domain."""
    with smtplib.SMTP(LOOPBACK, port, timeout=10) as client:
        client.helo("client.example.test")
        client.mail("bob@example.org")
        return client.rcpt(f"alice@{domain}")[0] == 250


def compact(plane: ControlPlane) -> None:
    """Make etcd forget all but the newest revision."""
    connection = http.client.HTTPConnection(LOOPBACK, plane.address.etcd_port, timeout=10)
    connection.request("POST", "/v3/kv/range", json.dumps({"key": "AA=="}))
    revision = json.load(connection.getresponse())["header"]["revision"]
    connection.request("POST", "/v3/kv/compaction", json.dumps({"revision": revision, "physical": True}))
    assert connection.getresponse().status == 200
    connection.close()


def test_a_long_outage_with_changes_and_deletes_in_it_leaves_nothing_stale(case: Case) -> None:
    case.apply(mail_service(), *(mail_domain(name) for name in ("one", "two", "three")))
    with (
        tampered(case.plane, case.directory) as way,
        mirrored_pods(case.plane, case.namespace, SERVICE, 2) as pods,
        kept_operator(case.directory, way.kubeconfig, case.namespace) as kept,
    ):
        before = {f"{name}.example.test" for name in ("one", "two", "three")}
        # A pod without a configuration is not ready: what is programmed in the others is programmed.
        eventually(lambda: all(pod.domains() == before for pod in pods), "in each pod", 40.0)
        eventually(lambda: all(case.is_programmed(name) for name in ("one", "two", "three")), "programmed", 40.0)
        way.cut()
        case.delete("MailDomain", "one")
        case.apply(mail_domain("four"), mail_domain("two", mailboxes=["postmaster"]))
        case.apply(mail_domain("passing"))
        time.sleep(OUTAGE_SECONDS / 2)
        case.delete("MailDomain", "passing")
        time.sleep(OUTAGE_SECONDS / 2)
        assert all(pod.domains() == before for pod in pods)
        way.mend()
        wanted = {f"{name}.example.test" for name in ("two", "three", "four")}
        eventually(lambda: all(pod.domains() == wanted for pod in pods), "caught up", RECOVERY_SECONDS)
        eventually(lambda: case.is_programmed("two") and case.is_programmed("four"), "and told", RECOVERY_SECONDS)
        assert kept.restarts <= 1 + OUTAGE_SECONDS / 60, "it waits for the API server, and doesn't loop"


def test_a_watch_that_is_too_old_misses_no_delete(case: Case) -> None:
    case.apply(mail_service(), *(mail_domain(name) for name in ("one", "two")))
    with (
        tampered(case.plane, case.directory) as way,
        mirrored_pods(case.plane, case.namespace, SERVICE, 1) as pods,
        kept_operator(case.directory, way.kubeconfig, case.namespace) as kept,
    ):
        eventually(lambda: case.is_programmed("one") and case.is_programmed("two"), "programmed", 40.0)
        way.cut()
        case.delete("MailDomain", "one")
        case.apply(mail_domain("three"))
        compact(case.plane)
        way.mend()
        wanted = {"two.example.test", "three.example.test"}
        eventually(lambda: pods[0].domains() == wanted, "caught up", RECOVERY_SECONDS)
        eventually(lambda: way.expired > 0 or kept.restarts > 0, "told that its version is too old")
        assert (way.expired > 0, kept.restarts) == (True, 0)


def test_pods_take_mail_and_start_again_while_the_api_server_is_away(plane: ControlPlane, case: Case) -> None:
    port = free_port()
    case.apply(mail_service(listeners=[{"name": "mx", "address": LOOPBACK, "port": port}]), mail_domain("one"))
    with (
        real_pods(plane, case.namespace, SERVICE, 1, case.directory / "pods") as pods,
        kept_operator(case.directory, plane.api.kubeconfig, case.namespace),
    ):
        eventually(lambda: case.is_programmed("one"), "programmed", 40.0)
        plane.stop()
        assert takes_mail_for(port, "one.example.test")
        pods[0].restart()
        eventually(pods[0].is_ready, "started again", 30.0)
        assert takes_mail_for(port, "one.example.test")
        assert not takes_mail_for(port, "two.example.test")
        plane.start()
        case.delete("MailDomain", "one")
        case.apply(mail_domain("two"))
        eventually(lambda: _serves(pods[0], port), "the change, after the outage", RECOVERY_SECONDS)


def _serves(pod: RealPod, port: int) -> bool:
    return pod.is_ready() and takes_mail_for(port, "two.example.test") and not takes_mail_for(port, "one.example.test")
