"""What the operator made and somebody else touched: put right at once; what somebody else made is left alone."""

from __future__ import annotations

from typing import Any

from paquebot_operator.desired.names import config_secret_name

from .mini_kubelet import mirrored_pods
from .operator_case import SERVICE, Case, eventually, mail_domain, mail_service
from .operator_process import running_operator

INDEX = config_secret_name(SERVICE, "index")
SOON = 10.0
MERGE = "application/merge-patch+json"


def edit(case: Case, kind: str, name: str, api_version: str, change: dict[str, Any]) -> None:
    """Change an object as `kubectl edit` does."""
    answer = case.rest.request("PATCH", f"{case.path(kind, api_version)}/{name}?fieldManager=kubectl", change, MERGE)
    assert answer.code == 200, answer.message


def replicas(case: Case) -> int:
    found = case.get("Deployment", f"{SERVICE}-mta", "apps/v1") or {}
    return int(found.get("spec", {}).get("replicas", -1))


def labels(case: Case) -> dict[str, str]:
    found = case.get("Service", f"{SERVICE}-mx", "v1") or {}
    return dict(found.get("metadata", {}).get("labels", {}))


def uid(case: Case, kind: str, name: str, api_version: str) -> str:
    found = case.get(kind, name, api_version) or {}
    return str(found.get("metadata", {}).get("uid", ""))


def programmed_reason(case: Case) -> str:
    return case.condition("MailService", SERVICE, "Programmed")[1]


def test_what_somebody_deletes_or_edits_is_put_right_at_once(case: Case) -> None:
    case.apply(mail_service(), mail_domain("one"))
    with (
        mirrored_pods(case.plane, case.namespace, SERVICE, 1),
        running_operator(case.directory, case.plane, case.namespace) as operator,
    ):
        eventually(lambda: case.is_programmed("one"), "programmed")
        for kind, name, api_version in (
            ("Deployment", f"{SERVICE}-mta", "apps/v1"),
            ("Service", f"{SERVICE}-mx", "v1"),
            ("Secret", INDEX, "v1"),
        ):
            before = uid(case, kind, name, api_version)
            case.delete(kind, name, api_version)
            eventually(lambda: uid(case, kind, name, api_version) not in ("", before), f"{kind} is back", SOON)  # noqa: B023
        edit(case, "Deployment", f"{SERVICE}-mta", "apps/v1", {"spec": {"replicas": 7}})
        eventually(lambda: replicas(case) == 2, "as many pods as before", SOON)
        edit(case, "Secret", INDEX, "v1", {"data": {"index.json": "e30="}})
        good = operator.count("paquebot_operator_config_writes_total")
        eventually(lambda: operator.count("paquebot_operator_config_writes_total") > good, "the index is back", SOON)
        # A label of ours that is gone would hide the object from the operator itself.
        edit(case, "Service", f"{SERVICE}-mx", "v1", {"metadata": {"labels": {"app.kubernetes.io/managed-by": None}}})
        eventually(lambda: labels(case).get("app.kubernetes.io/managed-by") == "paquebot-operator", "labelled", SOON)


def test_what_changed_while_no_operator_ran_is_put_right_at_its_start(case: Case) -> None:
    case.apply(mail_service(), mail_domain("one"))
    with mirrored_pods(case.plane, case.namespace, SERVICE, 1):
        with running_operator(case.directory, case.plane, case.namespace) as operator:
            eventually(lambda: case.is_programmed("one"), "programmed")
            assert operator.end() == 0
        edit(case, "Deployment", f"{SERVICE}-mta", "apps/v1", {"spec": {"replicas": 7}})
        case.delete("Service", f"{SERVICE}-mx", "v1")
        with running_operator(case.directory, case.plane, case.namespace) as operator:
            eventually(lambda: replicas(case) == 2, "as many pods as before")
            eventually(lambda: uid(case, "Service", f"{SERVICE}-mx", "v1") != "", "the Service is back")
            writes = {name for name in operator.writes() if name.startswith(("apply", "delete"))}
            assert writes == {"apply deployments", "apply services"}


def test_an_object_of_the_same_name_is_not_taken_from_who_made_it(case: Case) -> None:
    theirs = {"name": "theirs", "port": 25, "targetPort": 25, "protocol": "TCP"}
    metadata = {"name": f"{SERVICE}-mx", "labels": {"team": "other"}}
    case.apply({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"ports": [theirs]}})
    case.apply(mail_service(), mail_domain("one"))
    with (
        mirrored_pods(case.plane, case.namespace, SERVICE, 1) as pods,
        running_operator(case.directory, case.plane, case.namespace),
    ):
        eventually(lambda: programmed_reason(case) == "ObjectTaken", "told")
        message = case.condition("MailService", SERVICE, "Programmed")[2]
        assert f"Service {SERVICE}-mx" in message
        assert "tests made it" in message
        service = case.get("Service", f"{SERVICE}-mx", "v1") or {}
        assert service["metadata"]["labels"] == {"team": "other"}
        assert [port["name"] for port in service["spec"]["ports"]] == ["theirs"]
        eventually(lambda: pods[0].domains() == {"one.example.test"}, "mail goes on")
        case.delete("Service", f"{SERVICE}-mx", "v1")
        eventually(lambda: programmed_reason(case) == "Programmed", "made once the name is free", 40.0)


def test_a_secret_of_the_same_name_is_not_taken_from_who_made_it(case: Case) -> None:
    theirs = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": INDEX}, "data": {"password": "c2VjcmV0"}}
    case.apply(theirs, mail_service(), mail_domain("one", dkim={"mode": "Managed", "algorithm": "Ed25519"}))
    case.apply({**theirs, "metadata": {"name": "one-dkim"}})
    with running_operator(case.directory, case.plane, case.namespace) as operator:
        eventually(lambda: programmed_reason(case) == "ObjectTaken", "told")
        assert f"Secret {INDEX}" in case.condition("MailService", SERVICE, "Programmed")[2]
        eventually(lambda: case.condition("MailDomain", "one", "DKIMReady")[0] == "False", "told of the keys")
        assert "none of ours" in case.condition("MailDomain", "one", "DKIMReady")[2]
        for name in (INDEX, "one-dkim"):
            assert (case.get("Secret", name, "v1") or {})["data"] == theirs["data"]
        assert operator.count("paquebot_operator_pass_errors_total") == 0
        case.delete("Secret", INDEX, "v1")
        eventually(lambda: programmed_reason(case) == "NoReadyPods", "written once the name is free", 40.0)
