"""MailDomains: who may attach, who was first, and what their names become."""

import pytest

from paquebot_operator.compile.judge import judge
from tests.operator.builders import NOW, Json, compiled, domain, found, metadata, objects, service


def dated(name: str, created: str, uid: str = "", namespace: str = "default") -> Json:
    return domain(name, meta=metadata(name, namespace, creationTimestamp=created, uid=uid))


def winner_of(*documents: Json) -> str:
    result = compiled(service(allowedDomains={"namespaces": {"from": "All"}}), *documents)
    losers = {each.name for each in result.conditions if each.reason == "DomainConflict"}
    assert result.config is not None
    assert set(result.config.domains) == {"example.test"}
    (winner,) = {str(document["metadata"]["name"]) for document in documents} - losers
    return winner


def test_the_older_of_two_claims_wins() -> None:
    assert winner_of(dated("a", "2026-02-01T00:00:00Z"), dated("b", "2026-01-01T00:00:00Z")) == "b"


def test_the_lower_uid_wins_among_claims_of_one_second() -> None:
    second = "2026-01-01T00:00:00Z"
    assert winner_of(dated("a", second, uid="2"), dated("b", second, uid="1")) == "b"


def test_the_name_decides_last() -> None:
    assert winner_of(domain("b"), domain("a")) == "a"


def test_a_claim_with_a_date_is_older_than_one_without() -> None:
    assert winner_of(domain("a"), dated("b", "2026-01-01T00:00:00Z")) == "b"


def test_spellings_of_one_domain_are_one_claim() -> None:
    assert winner_of(domain("a", domain="EXAMPLE.test"), domain("b", domain="example.TEST")) == "a"


def test_a_broken_older_claim_gives_its_domain_to_nobody() -> None:
    older = dated("a", "2026-01-01T00:00:00Z")
    older["spec"]["aliasTableRef"] = {"name": "gone"}
    result = compiled(service(), older, dated("b", "2026-02-01T00:00:00Z"))
    assert found(result, "MailDomain", "TableNotFound").name == "a"
    assert found(result, "MailDomain", "DomainConflict").name == "b"
    assert result.config is not None
    assert not result.config.domains


def test_a_claim_from_a_namespace_that_may_not_attach_counts_for_nothing() -> None:
    stranger = dated("a", "2020-01-01T00:00:00Z", namespace="strangers")
    result = compiled(service(), stranger, domain("b"))
    assert found(result, "MailDomain", "NamespaceNotAllowed").namespace == "strangers"
    assert result.config is not None
    assert set(result.config.domains) == {"example.test"}


def test_the_loser_learns_no_name_of_another_namespace() -> None:
    first = dated("secret-name", "2020-01-01T00:00:00Z", namespace="tenant")
    result = compiled(service(allowedDomains={"namespaces": {"from": "All"}}), first, domain("b"))
    assert "secret-name" not in found(result, "MailDomain", "DomainConflict").message


@pytest.mark.parametrize(
    ("namespaces", "allowed"),
    [
        ({"from": "Same"}, False),
        ({"from": "All"}, True),
        ({"from": "Selector", "names": ["tenant"]}, True),
        ({"from": "Selector", "names": ["other"]}, False),
    ],
)
def test_the_service_says_whose_domains_it_takes(namespaces: Json, allowed: bool) -> None:
    tenant = domain("a", meta=metadata("a", "tenant"))
    result = compiled(service(allowedDomains={"namespaces": namespaces}), tenant)
    assert result.config is not None
    assert bool(result.config.domains) is allowed


def test_a_domain_of_no_service_is_told_so() -> None:
    orphan = domain("a", serviceRef={"name": "gone"})
    conditions = judge(objects(orphan), now=NOW).conditions
    assert {each.reason for each in conditions if each.severity == "Error"} == {"ServiceNotFound"}


@pytest.mark.parametrize("name", ["*", "*.example.test", "[192.0.2.1]", "a..b", "-a.test", "a" * 64 + ".test"])
def test_what_is_no_domain_is_never_hosted(name: str) -> None:
    result = compiled(service(), domain(domain=name))
    assert found(result, "MailDomain", "UnsupportedValue").field == "spec.domain"


def test_names_are_kept_as_a_labels_and_folded() -> None:
    aliases = [{"name": "TEAM", "targets": ["ALICE"]}]
    result = compiled(service(), domain(domain="Bücher.example", mailboxes=["Alice"], aliases=aliases))
    assert result.config is not None
    hosted = result.config.domains["xn--bcher-kva.example"]
    assert hosted.mailboxes == ("alice",)
    assert hosted.aliases == {"team": ("alice",)}


def test_a_missing_postmaster_is_a_warning() -> None:
    result = compiled(service(), domain(mailboxes=["alice"]))
    assert found(result, "MailDomain", "PostmasterMissing").severity == "Warning"
    assert result.config is not None
    assert result.config.domains


def test_a_target_that_nobody_has_is_a_warning() -> None:
    result = compiled(service(), domain(aliases=[{"name": "team", "targets": ["alice+news", "error:550 no", "bob"]}]))
    assert found(result, "MailDomain", "UnknownTarget").message.startswith("bob ")


@pytest.mark.parametrize("target", ["error:250 fine", "error:no", "@other.example", "a b@c.example", "a@b@c", "a,b"])
def test_what_is_no_target_is_refused(target: str) -> None:
    result = compiled(service(), domain(aliases=[{"name": "team", "targets": [target]}]))
    assert found(result, "MailDomain", "UnsupportedValue").field == "spec.aliases[0].targets[0]"
    assert result.config is not None
    assert not result.config.domains


def test_an_alias_twice_but_for_case_is_refused() -> None:
    twice = [{"name": "Team", "targets": ["alice"]}, {"name": "team", "targets": ["alice"]}]
    assert found(compiled(service(), domain(aliases=twice)), "MailDomain", "UnsupportedValue").status == "False"
