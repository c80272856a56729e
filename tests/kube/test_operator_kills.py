"""An operator that dies at any write, and two of it: what one left half done the next one ends, once."""

from __future__ import annotations

import base64
import multiprocessing
import time
from collections.abc import Callable
from contextlib import suppress

import pytest

from paquebot_mta.config.codec import load
from paquebot_mta.config.errors import ConfigError
from paquebot_operator.command import command
from paquebot_operator.desired.config_secrets import SECRET_TYPE
from tests.support.processes import free_port

from .mini_kubelet import MirroredPod, mirrored_pods
from .operator_case import SERVICE, Case, eventually, mail_domain, mail_service
from .operator_process import IMAGE, running_operator
from .tamper import Asked, Fate, Tamper, passes, tampered

MAX_KILLS = 60
ALL = {"one.example.test", "two.example.test", "new.example.test"}


class Death:
    """Lets one write through, and lets the operator die at the second: before it arrives, or before it is answered."""

    def __init__(self, kill: Callable[[], None], fate: Fate) -> None:
        self.at = ""
        self._kill = kill
        self._fate = fate
        self._count = 0

    def __call__(self, asked: Asked) -> Fate:
        if not asked.writes or self.at:
            return Fate.NEVER_ARRIVES if self.at else Fate.PASSES
        self._count += 1
        if self._count < 2:
            return Fate.PASSES
        self.at = f"{asked.method} {asked.target.partition('?')[0]}"
        self._kill()
        return self._fate


def run_operator(options: list[str]) -> None:
    """Be an operator, in a process of its own."""
    command.main(options)


def lives(case: Case, way: Tamper, number: int) -> str:
    """Run an operator until it dies; the write at which it did, empty if it got to the end of its work."""
    case.delete("Lease", "paquebot-operator", "coordination.k8s.io/v1")
    options = ["--image", IMAGE, "--namespace", case.namespace, "--watch-namespace", case.namespace]
    options += ["--kubeconfig", str(way.kubeconfig), "--listen", f"127.0.0.1:{free_port()}", "--log-level", "warning"]
    # Forked from a process that has imported all: what is not tested here is how long Python takes to start.
    operator = multiprocessing.get_context("forkserver").Process(target=run_operator, args=(options,))
    death = Death(operator.kill, Fate.NEVER_ARRIVES if number % 2 else Fate.NEVER_ANSWERED)
    way.decide = death
    operator.start()
    try:
        eventually(lambda: bool(death.at) or is_done(case), "its end, or that of its work", 60.0)
    finally:
        way.decide = passes
        operator.kill()
        operator.join(10)
        operator.close()
    return death.at


def is_done(case: Case) -> bool:
    service = case.get("MailService", SERVICE) or {}
    generation = service.get("metadata", {}).get("generation", 0)
    seen = service.get("status", {}).get("observedGeneration") == generation
    ready = seen and case.condition("MailService", SERVICE, "Ready")[0] == "True"
    refused = case.condition("MailDomain", "broken", "Ready")[0] == "False"
    return ready and refused and case.is_programmed("new") and case.is_programmed("one")


def check(case: Case, pod: MirroredPod) -> None:
    """What a pod finds now is a configuration that somebody wished, or it keeps what it has."""
    files: dict[str, bytes] = {}
    for each in case.list("Secret", "v1"):
        if each["type"] == SECRET_TYPE:
            files |= {key: base64.b64decode(text) for key, text in (each.get("data") or {}).items()}
    with suppress(ConfigError):
        assert set(load(files).domains) <= ALL
        assert "one.example.test" in load(files).domains
    assert pod.domains() <= ALL
    assert "one.example.test" in pod.domains()


@pytest.mark.timeout(600)
def test_killed_at_every_write_the_next_operator_goes_on(case: Case) -> None:
    multiprocessing.set_forkserver_preload(["paquebot_operator.command"])
    case.apply(mail_service(), mail_domain("one"), mail_domain("two"))
    with (
        tampered(case.plane, case.directory) as way,
        mirrored_pods(case.plane, case.namespace, SERVICE, 1) as pods,
    ):
        with running_operator(case.directory, case.plane, case.namespace) as operator:
            eventually(lambda: case.is_programmed("one") and case.is_programmed("two"), "programmed")
            operator.end()
        case.apply(mail_service(hostname="other.example.test"), mail_domain("new"))
        case.apply(mail_domain("broken", aliasTableRef={"name": "nobody"}))
        case.delete("MailDomain", "two")
        case.delete("Service", f"{SERVICE}-mx", "v1")
        deaths = []
        for number in range(MAX_KILLS):
            death = lives(case, way, number)
            check(case, pods[0])
            if not death:
                break
            deaths.append(death)
        else:
            raise AssertionError(f"no end of it: {deaths}")
        # Each life makes one write and dies of the next: what is left then is less than two.
        assert len(deaths) >= 5, deaths
        assert all(any(each in death for death in deaths) for each in ("/secrets/", "/status")), deaths
        eventually(lambda: pods[0].domains() == {"one.example.test", "new.example.test"}, "nothing stale, nothing lost")
        assert case.get("Service", f"{SERVICE}-mx", "v1") is not None


def test_of_two_operators_one_works_and_no_change_is_made_twice(case: Case) -> None:
    case.apply(mail_service(), mail_domain("one"))
    with (
        mirrored_pods(case.plane, case.namespace, SERVICE, 1) as pods,
        running_operator(case.directory / "a", case.plane, case.namespace, wait=False) as first,
        running_operator(case.directory / "b", case.plane, case.namespace, wait=False) as second,
    ):
        both = (first, second)
        for each in both:
            each.wait_ready()
        eventually(lambda: case.is_programmed("one"), "programmed")
        time.sleep(1.0)
        assert sorted(each.is_leader() for each in both) == [False, True]
        before = sum(each.writes().get("apply secrets", 0) for each in both)
        for number in range(5):
            case.apply(mail_domain(f"more{number}"))
            eventually(lambda: case.is_programmed(f"more{number}"), "programmed")  # noqa: B023
            assert sorted(each.is_leader() for each in both) == [False, True]
        assert sum(each.writes().get("apply secrets", 0) for each in both) - before <= 10
        # Who deletes the Lease leaves one of them: the one that writes it first. The other one ends, or waits.
        case.delete("Lease", "paquebot-operator", "coordination.k8s.io/v1")
        time.sleep(5.0)
        assert [each.process.returncode is None and each.is_leader() for each in both].count(True) == 1
        case.apply(mail_domain("last"))
        eventually(lambda: "last.example.test" in pods[0].domains(), "and works")
