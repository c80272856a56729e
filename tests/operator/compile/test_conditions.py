"""Every reason that a condition may have, and what it says."""

import base64
from typing import Any

import pytest

from tests.operator.builders import (
    HASH,
    Json,
    compiled,
    config_map,
    domain,
    found,
    metadata,
    pair,
    secret,
    service,
    submission,
    table,
    tls_secret,
)

USERS = table("users", "credentials", inline={"entries": [{"key": "alice@example.test", "value": HASH}]})
PLAIN = table("users", "credentials", inline={"entries": [{"key": "alice", "value": "hunter2"}]})


def with_submission(*more: Json, **auth: Any) -> tuple[Json, ...]:
    return (service(listeners=[submission(**auth)]), *more)


def test_good_objects_are_accepted_and_resolved() -> None:
    result = compiled(*with_submission(tls_secret(), USERS), domain())
    assert {(each.kind, each.reason) for each in result.conditions} == {
        (kind, reason) for kind in ("MailService", "MailDomain", "Table") for reason in ("Accepted", "ResolvedRefs")
    }
    assert result.config is not None
    assert set(result.config.domains) == {"example.test"}


def test_a_service_that_is_refused_has_no_files() -> None:
    result = compiled(service(hostname="-bad-.test"))
    assert found(result, "MailService", "UnsupportedValue").field == "spec.hostname"
    assert not result.files
    assert result.config is None


@pytest.mark.parametrize(
    ("documents", "reason", "field"),
    [
        (with_submission(USERS), "SecretNotFound", "spec.listeners[0].tls.certificateRefs[0]"),
        (with_submission(tls_secret()), "TableNotFound", "spec.listeners[0].auth.credentialsRef"),
        (
            with_submission(tls_secret(), table("users", "credentials", secretRef={"name": "gone"})),
            "InvalidTable",
            "spec.listeners[0].auth.credentialsRef",
        ),
        (
            with_submission(tls_secret(), table("users", "alias", inline={"keys": ["x"]})),
            "InvalidTable",
            "spec.listeners[0].auth.credentialsRef",
        ),
        (
            with_submission(tls_secret(), PLAIN),
            "InvalidCredentials",
            "spec.listeners[0].auth.credentialsRef",
        ),
        (
            (service(listeners=[{"name": f"at-{at[0]}", "port": 25, "address": at} for at in ("1::", "0001::")]),),
            "ListenerConflict",
            "spec.listeners[1]",
        ),
        ((service(listeners=[{"name": "a", "port": 25, "address": "example.test"}]),), "UnsupportedValue",
         "spec.listeners[0].address"),
        ((service(resolver={"servers": ["dns.example.test"]}),), "UnsupportedValue", "spec.resolver.servers[0]"),
        (
            (service(actions=[{"name": "a", "maildir": {"path": "/mail/../%{user}"}}]),),
            "UnsupportedValue",
            "spec.actions[0].maildir.path",
        ),
        (
            (service(actions=[{"name": "a", "maildir": {"path": "/mail/%{home}"}}]),),
            "UnsupportedValue",
            "spec.actions[0].maildir.path",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_service_names_the_field(documents: tuple[Json, ...], reason: str, field: str) -> None:
    result = compiled(*documents)
    condition = found(result, "MailService", reason)
    assert (condition.field, condition.severity, condition.status) == (field, "Error", "False")
    assert condition.message
    assert not result.files


def test_a_key_that_does_not_belong_to_its_certificate_is_refused() -> None:
    crossed = secret("tls", tls_crt=pair()[0], tls_key=pair("other.example.test")[1])
    assert found(compiled(*with_submission(crossed, USERS)), "MailService", "CertificateKeyMismatch").status == "False"


@pytest.mark.parametrize("broken", [{"tls_crt": "x"}, {"tls_key": "x"}, {"tls_crt": "", "tls_key": ""}])
def test_certificates_and_keys_are_really_loaded(broken: dict[str, str]) -> None:
    chain, key = pair()
    bad = secret("tls", **({"tls_crt": chain, "tls_key": key} | broken))
    result = compiled(*with_submission(bad, USERS))
    assert "InvalidCertificate" in {each.reason for each in result.conditions}
    assert not result.files


def test_a_secret_without_the_key_is_named() -> None:
    result = compiled(*with_submission(secret("tls", tls_crt=pair()[0]), USERS))
    assert "tls.key" in found(result, "MailService", "KeyNotFound").message


def test_an_expired_certificate_is_a_warning() -> None:
    result = compiled(*with_submission(tls_secret(days_ago=400), USERS))
    assert found(result, "MailService", "CertificateExpired").severity == "Warning"
    assert result.files


def test_a_certificate_of_the_future_is_a_warning() -> None:
    result = compiled(*with_submission(tls_secret(days_ago=-10), USERS))
    assert found(result, "MailService", "CertificateNotYetValid").severity == "Warning"


def test_a_certificate_for_another_name_is_a_warning() -> None:
    result = compiled(*with_submission(tls_secret(hostname="other.example.test"), USERS))
    assert found(result, "MailService", "HostnameNotCovered").severity == "Warning"
    assert result.files


@pytest.mark.parametrize(
    ("spec", "documents", "reason"),
    [
        ({"secretRef": {"name": "data"}}, (), "SecretNotFound"),
        ({"configMapRef": {"name": "data"}}, (), "ConfigMapNotFound"),
        ({"configMapRef": {"name": "data", "key": "other"}}, (config_map("data", table="a b"),), "KeyNotFound"),
        ({"configMapRef": {"name": "data"}}, (config_map("data", table="a b\nc\n"),), "InvalidTable"),
        ({"inline": {"entries": [{"key": "Info", "value": "a"}, {"key": "info", "value": "b"}]}}, (), "InvalidTable"),
        ({"matchMode": "Regex", "inline": {"keys": ["("]}}, (), "InvalidTable"),
        ({"matchMode": "Regex", "inline": {"keys": ["(a+)+$"]}}, (), "InvalidTable"),
        ({"matchMode": "Network", "inline": {"keys": ["10.0.0.0/33"]}}, (), "InvalidTable"),
    ],
)
def test_what_is_wrong_with_a_table_leaves_its_domain_out_and_no_other(
    spec: Json, documents: tuple[Json, ...], reason: str
) -> None:
    bad = domain(aliasTableRef={"name": "aliases"})
    good = domain("other", domain="other.example")
    result = compiled(service(), bad, good, table("aliases", "alias", **spec), *documents)
    assert found(result, "Table", reason).severity == "Error"
    assert found(result, "MailDomain", "InvalidTable").field == "spec.aliasTableRef"
    assert result.config is not None
    assert set(result.config.domains) == {"other.example"}


def test_a_secret_that_is_not_base64_is_named_without_its_value() -> None:
    broken = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata("data"), "data": {"table": "%secret%"}}
    result = compiled(
        service(), domain(aliasTableRef={"name": "t"}), table("t", "alias", secretRef={"name": "data"}), broken
    )
    assert "secret%" not in found(result, "Table", "InvalidTable").message


def test_a_relay_password_has_its_own_form() -> None:
    auth: Json = {"credentialsRef": {"name": "login"}, "label": "us"}
    relay: Json = {"host": "smtp.example.com", "tls": {"policy": "Required"}, "auth": auth}
    login = table("login", "credentials", inline={"entries": [{"key": "us", "value": "no-colon"}]})
    result = compiled(service(actions=[{"name": "out", "relay": relay}]), login)
    assert found(result, "MailService", "InvalidCredentials").status == "False"
    assert "no-colon" not in repr(result.conditions)


def test_a_relay_label_that_is_not_in_the_table_is_named() -> None:
    auth: Json = {"credentialsRef": {"name": "login"}, "label": "them"}
    relay: Json = {"host": "smtp.example.com", "tls": {"policy": "Verified"}, "auth": auth}
    login = table("login", "credentials", inline={"entries": [{"key": "us", "value": "u:p"}]})
    result = compiled(service(actions=[{"name": "out", "relay": relay}]), login)
    assert found(result, "MailService", "KeyNotFound").field == "spec.actions[0].relay.auth.label"


def test_a_secret_never_shows_in_conditions_or_representations() -> None:
    text = base64.b64encode(b"alice hunter2-plain\n").decode()
    users = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata("users"), "data": {"table": text}}
    documents = with_submission(tls_secret(), users, table("users", "credentials", secretRef={"name": "users"}))
    result = compiled(*documents)
    assert found(result, "MailService", "InvalidCredentials").status == "False"
    assert "hunter2" not in repr(result)
