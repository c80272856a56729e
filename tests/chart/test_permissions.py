"""The chart's roles are the operator's own table, no verb more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import pytest

from paquebot_operator.cluster.permissions import IN_OWN_NAMESPACE, IN_WATCHED_NAMESPACES, Permission

from .rendering import CASES, Manifest, of_kind, render

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("kube_programs")]

Right = tuple[str, str, str]


def rights_of(role: Manifest) -> Counter[Right]:
    return Counter(
        (group, resource, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    )


def rights_in(table: Iterable[Permission]) -> Counter[Right]:
    return Counter((each.group, name, verb) for each in table for name in each.resources for verb in each.verbs)


def test_the_cluster_role_has_what_the_operator_says_it_needs() -> None:
    role = of_kind(render(), "ClusterRole", "paquebot")
    assert rights_of(role) == rights_in(IN_WATCHED_NAMESPACES)


def test_the_role_of_its_own_namespace_has_the_lease() -> None:
    assert rights_of(of_kind(render(), "Role", "paquebot-lease")) == rights_in(IN_OWN_NAMESPACE)


def test_no_other_lease_is_read_or_written() -> None:
    manifests = render("--set", "fullnameOverride=post-office")
    arguments = of_kind(manifests, "Deployment")["spec"]["template"]["spec"]["containers"][0]["args"]
    assert "--lease=post-office" in arguments
    for rule in of_kind(manifests, "Role", "post-office-lease")["rules"]:
        assert rule["verbs"] == ["create"] or rule["resourceNames"] == ["post-office"]


def test_no_secret_is_deleted_by_the_operator() -> None:
    assert ("", "secrets", "delete") not in rights_of(of_kind(render(), "ClusterRole", "paquebot"))


def test_with_watched_namespaces_there_is_no_cluster_role_for_the_operator() -> None:
    manifests = render(*CASES["namespaced"])
    roles = [each for each in manifests if each["kind"] == "Role" and each["metadata"]["name"] == "paquebot"]
    assert {each["metadata"]["namespace"] for each in roles} == {"mail", "other"}
    assert all(rights_of(each) == rights_in(IN_WATCHED_NAMESPACES) for each in roles)
    assert not [each for each in manifests if each["kind"] in {"ClusterRole", "ClusterRoleBinding"}]


def test_no_role_has_a_wildcard() -> None:
    for each in render(*CASES["whole"]):
        if each["kind"] in {"Role", "ClusterRole"}:
            assert not [right for right in rights_of(each) if "*" in right], each["metadata"]["name"]


def test_only_pods_that_need_a_token_get_one() -> None:
    manifests = render(*CASES["whole"])
    accounts = [each for each in manifests if each["kind"] == "ServiceAccount"]
    assert len(accounts) == 3
    assert all(each["automountServiceAccountToken"] is False for each in accounts)


def test_the_verifier_may_write_its_own_objects_alone() -> None:
    (role,) = [each for each in render() if each["kind"] == "Role" and each["metadata"]["name"] == "paquebot-test"]
    assert {verb for rule in role["rules"] for verb in rule["verbs"]} == {"create", "get", "patch", "delete"}
    assert all(rule.get("resourceNames") == ["paquebot-test"] for rule in role["rules"] if rule["verbs"] != ["create"])
    assert of_kind(render(), "Pod")["spec"]["serviceAccountName"] == "paquebot-test"
