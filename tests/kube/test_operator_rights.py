"""The operator with the rights of its table and no others: it works, and the API server refuses the rest."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from paquebot_operator.cluster.permissions import IN_OWN_NAMESPACE, IN_WATCHED_NAMESPACES, Permission

from .api import Manifest
from .control_plane import ControlPlane
from .mini_kubelet import mirrored_pods
from .operator_case import SERVICE, Case, eventually, mail_domain, mail_service
from .operator_process import OperatorProcess

ACCOUNT = "operator"
LEASE = "paquebot-operator"
"""The default of --lease."""
RBAC = "rbac.authorization.k8s.io/v1"


@pytest.fixture
def case(plane: ControlPlane, case: Case) -> Case:
    """With the operator's account."""
    plane.api.apply(*_account(case.namespace, (*IN_WATCHED_NAMESPACES, *IN_OWN_NAMESPACE)), namespace=case.namespace)
    return case


def _account(namespace: str, permissions: Iterable[Permission]) -> list[Manifest]:
    rules = [_rule(each) for each in permissions]
    metadata = {"name": ACCOUNT}
    subject = {"kind": "ServiceAccount", "name": ACCOUNT, "namespace": namespace}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": ACCOUNT}
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata},
        {"apiVersion": RBAC, "kind": "Role", "metadata": metadata, "rules": rules},
        {"apiVersion": RBAC, "kind": "RoleBinding", "metadata": metadata, "roleRef": role, "subjects": [subject]},
    ]


def _rule(each: Permission) -> Manifest:
    rule = {"apiGroups": [each.group], "resources": list(each.resources), "verbs": list(each.verbs)}
    return rule | ({"resourceNames": [LEASE]} if each.by_name else {})


def test_the_rights_of_the_table_are_enough(case: Case) -> None:
    kubeconfig = case.plane.api.kubeconfig_for(case.namespace, ACCOUNT, case.directory)
    case.apply(mail_service(), mail_domain("one", dkim={"mode": "Managed", "algorithm": "Ed25519"}))
    with mirrored_pods(case.plane, case.namespace, SERVICE, 1):
        operator = OperatorProcess(case.directory, kubeconfig, case.namespace, "--watch-namespace", case.namespace)
        try:
            eventually(lambda: case.is_programmed("one"), "programmed", 40.0)
            eventually(lambda: case.get("Secret", "one-dkim", "v1") is not None, "keys are made")
            eventually(lambda: case.condition("MailDomain", "one", "DKIMReady")[0] != "", "and told of")
            records = (case.get("MailDomain", "one") or {})["status"]["dnsRecords"]
            assert any("._domainkey." in each["name"] and each["value"].startswith("v=DKIM1") for each in records)
            assert operator.count("paquebot_operator_api_requests_total", code="403") == 0
        except BaseException as error:
            error.add_note(operator.process.log_tail())
            raise
        finally:
            operator.kill()


@pytest.mark.parametrize("question", [
    ("list", "secrets"), ("watch", "secrets"), ("delete", "secrets"), ("update", "secrets"),
    ("list", "configmaps"), ("update", "maildomains"),
    ("delete", "maildomains"), ("delete", "pods"), ("create", "pods"), ("create", "pods", "--subresource=exec"),
    ("get", "leases/kube-scheduler"), ("update", "leases/kube-scheduler"), ("delete", f"leases/{LEASE}"),
    ("delete", "persistentvolumeclaims"), ("create", "roles"), ("create", "serviceaccounts", "--subresource=token"),
], ids=" ".join)  # fmt: skip
def test_what_the_operator_must_not_do_is_refused(case: Case, question: tuple[str, ...]) -> None:
    assert not case.plane.api.can(case.namespace, ACCOUNT, *question, "-n", case.namespace)


def test_another_namespace_is_none_of_its_business(case: Case) -> None:
    for question in (("get", "secrets"), ("list", "maildomains"), ("patch", "pods")):
        assert not case.plane.api.can(case.namespace, ACCOUNT, *question, "-n", "default")
