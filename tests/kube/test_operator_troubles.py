"""Pods that don't answer, objects that are wrong, an API server that has enough: the others are served all the same."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from .control_plane import ControlPlane
from .mini_kubelet import mirrored_pods
from .operator_case import SERVICE, Case, eventually, mail_domain, mail_service
from .operator_process import OperatorProcess, running_operator
from .tamper import Asked, Fate, passes, tampered

GOOD = 100
STORM_SECONDS = 6.0


@pytest.fixture
def case(case: Case) -> Case:
    """With a MailService."""
    case.apply(mail_service())
    return case


def is_ready(case: Case) -> bool:
    return case.condition("MailService", SERVICE, "Ready")[0] == "True"


def test_a_pod_that_never_acknowledges_holds_up_no_other(case: Case) -> None:
    with (
        mirrored_pods(case.plane, case.namespace, SERVICE, 2) as (good, deaf),
        running_operator(case.directory, case.plane, case.namespace) as operator,
    ):
        eventually(lambda: is_ready(case) and case.ready_pods() == 2, "ready")
        deaf.deaf = True
        before = operator.writes().get("patch pods", 0)
        case.apply(mail_domain("one"))
        eventually(lambda: "one.example.test" in good.domains(), "the other pod serves it")
        eventually(lambda: case.condition("MailDomain", "one", "Programmed")[1] == "Pending", "told", 30.0)
        eventually(lambda: case.condition("MailService", SERVICE, "Programmed")[1] == "Pending", "told of the pool")
        case.apply(mail_domain("two"))
        eventually(lambda: "two.example.test" in good.domains(), "the next change goes on, too")
        told = {each["name"]: each["digest"] for each in (case.get("MailService", SERVICE) or {})["status"]["pods"]}
        assert told[deaf.name] != told[good.name]
        # Nudged again and again, but ever more seldom.
        assert 4 <= operator.writes()["patch pods"] - before <= 14
        case.delete("Pod", deaf.name, "v1")
        eventually(lambda: case.is_programmed("one") and case.is_programmed("two"), "programmed once it is gone")


def test_one_bad_object_beside_a_hundred_good_ones(case: Case) -> None:
    names = [f"good{number}" for number in range(GOOD)]
    with (
        mirrored_pods(case.plane, case.namespace, SERVICE, 1) as pods,
        running_operator(case.directory, case.plane, case.namespace) as operator,
    ):
        case.apply(mail_domain("bad", aliasTableRef={"name": "nobody"}), *(mail_domain(name) for name in names))
        eventually(lambda: all(case.is_programmed(name) for name in names), "the good ones", 60.0)
        assert len(pods[0].domains()) == GOOD
        assert case.condition("MailDomain", "bad", "ResolvedRefs")[1] == "TableNotFound"
        assert case.condition("MailDomain", "bad", "Ready")[0] == "False"
        case.delete("MailDomain", "good0")
        case.apply(mail_domain("good1", mailboxes=["postmaster"]))
        eventually(lambda: len(pods[0].domains()) == GOOD - 1 and case.is_programmed("good1"), "changes go on")
        assert operator.count("paquebot_operator_pass_errors_total") == 0


def test_a_storm_of_refusals_is_waited_out_gently(case: Case) -> None:
    names = [f"d{number}" for number in range(20)]
    source = random.Random(1)

    def storm(asked: Asked) -> Fate:
        lease = "/leases" in asked.target
        return Fate.REFUSED if not asked.is_watch and not lease and source.random() < 0.8 else Fate.PASSES

    with (
        tampered(case.plane, case.directory) as way,
        mirrored_pods(case.plane, case.namespace, SERVICE, 1) as pods,
        running_operator(case.directory, case.plane, case.namespace, kubeconfig=way.kubeconfig) as operator,
    ):
        eventually(lambda: is_ready(case), "ready")
        way.decide = storm
        asked = len(way.asked)
        case.apply(*(mail_domain(name) for name in names))
        time.sleep(STORM_SECONDS)
        assert len(way.asked) - asked < 60 * STORM_SECONDS, "it doesn't hammer"
        way.decide = passes
        eventually(lambda: all(case.is_programmed(name) for name in names), "programmed after the storm", 60.0)
        assert len(pods[0].domains()) == len(names)
        assert operator.process.returncode is None


def test_an_operator_that_starts_in_a_storm_works_in_the_end(case: Case) -> None:
    case.apply(mail_domain("one"))
    source = random.Random(2)
    with (
        tampered(case.plane, case.directory) as way,
        mirrored_pods(case.plane, case.namespace, SERVICE, 1),
    ):
        way.decide = lambda _: Fate.REFUSED if source.random() < 0.5 else Fate.PASSES
        options = {"kubeconfig": way.kubeconfig, "wait": False}
        with running_operator(case.directory, case.plane, case.namespace, **options) as operator:  # type: ignore[arg-type]
            time.sleep(STORM_SECONDS)
            way.decide = passes
            eventually(lambda: case.is_programmed("one"), "programmed", 60.0)
            assert operator.process.returncode is None


def test_an_operator_of_the_whole_cluster_serves_every_namespace(plane: ControlPlane, tmp_path: Path) -> None:
    cases = [Case(plane, plane.api.new_namespace(), tmp_path) for _ in range(2)]
    for case in cases:
        case.apply(mail_service())
    guest = cases[1]
    for case in cases:
        case.apply(mail_domain("one", domain=f"{case.namespace}.example.test"))
    operator = OperatorProcess(tmp_path, plane.api.kubeconfig, cases[0].namespace)
    try:
        with (
            mirrored_pods(plane, cases[0].namespace, SERVICE, 1) as here,
            mirrored_pods(plane, guest.namespace, SERVICE, 1) as there,
        ):
            eventually(lambda: all(case.is_programmed("one") for case in cases), "both are programmed", 40.0)
            assert here[0].domains() == {f"{cases[0].namespace}.example.test"}
            assert there[0].domains() == {f"{guest.namespace}.example.test"}
            guest.delete("Service", f"{SERVICE}-mx", "v1")
            eventually(lambda: guest.get("Service", f"{SERVICE}-mx", "v1") is not None, "put right there, too")
    finally:
        operator.kill()
        for case in cases:
            case.rest.close()
