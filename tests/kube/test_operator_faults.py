"""What goes wrong around the operator, on a real API server: nothing stale, nothing lost, the last good stays."""

from __future__ import annotations

import base64
import time

import pytest

from .mini_kubelet import mirrored_pods
from .operator_case import SERVICE, Case, eventually, mail_domain, mail_service
from .operator_process import OperatorProcess, running_operator
from .severed import severable

ALIASES = {
    "apiVersion": "paquebot.dev/v1alpha1",
    "kind": "Table",
    "metadata": {"name": "people"},
    "spec": {"services": ["alias"], "secretRef": {"name": "people"}},
}


@pytest.fixture
def case(case: Case) -> Case:
    """With a MailService."""
    case.apply(mail_service())
    return case


def secret(text: str) -> dict[str, object]:
    data = {"table": base64.b64encode(text.encode()).decode()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "people"}, "data": data}


def test_a_restart_with_nothing_changed_writes_nothing(case: Case) -> None:
    with mirrored_pods(case.plane, case.namespace, SERVICE, 2):
        case.apply(*(mail_domain(name) for name in ("one", "two")))
        with running_operator(case.directory, case.plane, case.namespace) as operator:
            eventually(lambda: case.is_programmed("one") and case.is_programmed("two"), "programmed")
            eventually(lambda: case.condition("MailService", SERVICE, "Ready")[0] == "True", "ready")
            eventually(lambda: case.ready_pods() == 2, "all pods")
            time.sleep(1.0)
            assert operator.end() == 0
        with running_operator(case.directory, case.plane, case.namespace) as operator:
            eventually(operator.is_leader, "leader at once: the first one let the Lease go", 8.0)
            eventually(lambda: operator.count("paquebot_operator_domains", state="programmed") == 2, "all known")
            time.sleep(2.0)
            assert operator.writes() == {}


def test_deletes_while_the_way_to_the_api_server_is_cut_are_not_missed(case: Case) -> None:
    with (
        severable(case.plane, case.directory) as way,
        mirrored_pods(case.plane, case.namespace, SERVICE, 1) as pods,
    ):
        case.apply(*(mail_domain(name) for name in ("one", "two")))
        options = ("--watch-namespace", case.namespace)
        operator = OperatorProcess(case.directory, way.kubeconfig, case.namespace, *options)
        try:
            eventually(lambda: case.is_programmed("one") and case.is_programmed("two"), "programmed", 40.0)
            way.cut()
            case.delete("MailDomain", "one")
            case.apply(mail_domain("three"))
            time.sleep(4.0)
            assert pods[0].domains() == {"one.example.test", "two.example.test"}
            way.mend()
            wanted = {"two.example.test", "three.example.test"}
            eventually(lambda: pods[0].domains() == wanted, "caught up", 30.0)
            assert operator.process.returncode is None
        finally:
            operator.kill()


def test_a_paused_leader_gives_way_and_ends(case: Case) -> None:
    with (
        mirrored_pods(case.plane, case.namespace, SERVICE, 1),
        running_operator(case.directory / "a", case.plane, case.namespace) as first,
    ):
        eventually(first.is_leader, "the first leads")
        with running_operator(case.directory / "b", case.plane, case.namespace) as second:
            assert not second.is_leader()
            assert second.writes() == {}
            first.pause()
            eventually(second.is_leader, "the second takes over", 40.0)
            case.apply(mail_domain("one"))
            eventually(lambda: case.is_programmed("one"), "the second works")
            first.resume()
            assert first.process.wait(20.0) == 1
            assert second.is_leader()


def test_a_secret_deleted_and_restored_keeps_the_domain(case: Case) -> None:
    with (
        mirrored_pods(case.plane, case.namespace, SERVICE, 1) as pods,
        running_operator(case.directory, case.plane, case.namespace),
    ):
        case.apply(secret("info alice\n"), ALIASES, mail_domain("one", aliasTableRef={"name": "people"}))
        eventually(lambda: case.is_programmed("one"), "programmed")
        case.delete("Secret", "people", "v1")
        refs = ("MailDomain", "one", "ResolvedRefs")
        eventually(lambda: case.condition(*refs)[1] == "InvalidTable", "told")
        assert case.condition("MailDomain", "one", "Programmed")[1] == "LastGoodKept"
        assert pods[0].domains() == {"one.example.test"}
        case.apply(secret("info postmaster\n"))
        eventually(lambda: case.is_programmed("one"), "programmed again")
        config = pods[0].config
        assert config is not None
        (table,) = config.tables.values()
        assert table.inline is not None
        assert table.inline.entries == {"info": "postmaster"}


def test_a_domain_that_is_refused_harms_no_other(case: Case) -> None:
    with (
        mirrored_pods(case.plane, case.namespace, SERVICE, 1) as pods,
        running_operator(case.directory, case.plane, case.namespace),
    ):
        case.apply(mail_domain("one"))
        eventually(lambda: case.is_programmed("one"), "programmed")
        case.apply(mail_domain("twin", domain="one.example.test"), mail_domain("two"))
        eventually(lambda: case.is_programmed("two"), "the good one")
        eventually(lambda: case.condition("MailDomain", "twin", "Accepted")[1] == "DomainConflict", "the bad one")
        assert pods[0].domains() == {"one.example.test", "two.example.test"}
        events = case.rest.request("GET", f"/apis/events.k8s.io/v1/namespaces/{case.namespace}/events").body["items"]
        told = [(each["regarding"]["name"], each["reason"]) for each in events]
        assert ("twin", "DomainConflict") in told
        assert [each for each in told if each[0] in {"one", "two"}] == []
