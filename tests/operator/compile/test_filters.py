"""A filter that is not asked is never passed over in silence."""

from typing import Any

from paquebot_operator.compile.judge import judge
from tests.operator.builders import API, NOW, Json, compiled, domain, found, metadata, objects, service

REFS = [{"name": "spam"}]


def mail_filter(name: str, **spec: Any) -> Json:
    return {"apiVersion": API, "kind": "MailFilter", "metadata": metadata(name), "spec": spec}


SPAM = mail_filter("spam", greylist={})


def test_a_filter_that_is_not_there_is_an_error_where_it_is_named() -> None:
    result = compiled(service(listeners=[{"name": "mx", "port": 2525, "filterRefs": REFS}]))
    condition = found(result, "MailService", "FilterNotFound")
    assert (condition.status, condition.field) == ("False", "spec.listeners[0].filterRefs[0]")


def test_a_filter_that_is_not_asked_yet_is_a_warning() -> None:
    result = compiled(service(actions=[{"name": "out", "relay": {"filterRefs": REFS}}]), SPAM)
    condition = found(result, "MailService", "FilterNotProgrammed")
    assert (condition.severity, condition.field) == ("Warning", "spec.actions[0].relay.filterRefs[0]")
    assert result.files


def test_a_domain_says_so_too() -> None:
    result = compiled(service(), domain(filterRefs=REFS), SPAM)
    assert found(result, "MailDomain", "FilterNotProgrammed").field == "spec.filterRefs[0]"


def reasons(*filters: Json) -> set[tuple[str, str]]:
    return {(each.name, each.reason) for each in judge(objects(*filters), now=NOW).conditions}


def test_a_chain_leads_to_filters_that_are_there() -> None:
    assert ("all", "FilterNotFound") in reasons(mail_filter("all", chain=REFS))
    assert ("all", "ResolvedRefs") in reasons(mail_filter("all", chain=REFS), SPAM)


def test_a_chain_holds_no_chain() -> None:
    chains = mail_filter("all", chain=[{"name": "inner"}]), mail_filter("inner", chain=REFS)
    assert ("all", "NestedChain") in reasons(*chains, SPAM)
