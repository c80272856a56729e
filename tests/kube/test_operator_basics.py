"""The operator on a real API server: from `apply` to what pods run, and back into statuses."""

from __future__ import annotations

from .mini_kubelet import mirrored_pods
from .operator_case import SERVICE, Case, eventually, mail_domain, mail_service
from .operator_process import running_operator


def test_a_domain_is_programmed_in_every_pod_and_removed_again(case: Case) -> None:
    case.apply(mail_service())
    with (
        running_operator(case.directory, case.plane, case.namespace) as operator,
        mirrored_pods(case.plane, case.namespace, SERVICE, 3) as pods,
    ):
        eventually(lambda: case.condition("MailService", SERVICE, "Ready")[0] == "True", "service ready")
        eventually(lambda: case.ready_pods() == 3, "all pods ready")
        before = operator.writes()
        case.apply(mail_domain("one"))
        eventually(lambda: all("one.example.test" in pod.domains() for pod in pods), "all pods serve it")
        eventually(lambda: case.is_programmed("one"), "programmed")
        status = (case.get("MailDomain", "one") or {})["status"]
        assert status["programmedPods"] == "3/3"
        assert {each["type"]: each["status"] for each in status["conditions"]} == {
            "Accepted": "True", "ResolvedRefs": "True", "Programmed": "True", "Ready": "True",
            "DNSReady": "Unknown",
        }  # fmt: skip
        spent = {name: count - before.get(name, 0) for name, count in operator.writes().items()}
        assert (spent["apply secrets"], spent["patch pods"]) == (2, 3)
        assert spent["status maildomains"] <= 2
        assert not any(count for name, count in spent.items() if name.startswith("apply") and name != "apply secrets")
        case.delete("MailDomain", "one")
        eventually(lambda: not any(pod.domains() for pod in pods), "no pod serves it")
