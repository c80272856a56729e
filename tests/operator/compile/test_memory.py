"""What is remembered between two passes is never what an object was under other circumstances."""

from __future__ import annotations

from dataclasses import replace

from paquebot_operator.compile.attached import Memory
from paquebot_operator.compile.objects import ObjectKey, Objects
from paquebot_operator.compile.service import Compiled, compile_service
from tests.operator.builders import KEY, NOW, Json, domain, objects, service

OLD, YOUNG = ObjectKey("default", "old"), ObjectKey("default", "young")


def claimant(name: str, year: int) -> Json:
    made = domain(name, mailboxes=[name])
    made["metadata"]["creationTimestamp"] = f"{year}-01-01T00:00:00Z"
    return made


def without(seen: Objects, gone: ObjectKey) -> Objects:
    """The same objects, not equal ones: what is remembered is remembered of them."""
    return replace(seen, domains={key: each for key, each in seen.domains.items() if key != gone})


def owners(result: Compiled) -> set[ObjectKey]:
    return set(result.entries)


BOTH = objects(service(), claimant("old", 2025), claimant("young", 2026))


def test_a_remembered_loser_has_the_domain_once_the_winner_is_deleted() -> None:
    memory = Memory()
    assert owners(compile_service(BOTH, KEY, now=NOW, memory=memory)) == {OLD}
    after = without(BOTH, OLD)
    heir = compile_service(after, KEY, now=NOW, memory=memory)
    assert owners(heir) == {YOUNG}
    assert heir == compile_service(after, KEY, now=NOW)


def test_a_remembered_domain_is_refused_once_an_older_one_claims_its_name() -> None:
    memory = Memory()
    assert owners(compile_service(without(BOTH, OLD), KEY, now=NOW, memory=memory)) == {YOUNG}
    both = compile_service(BOTH, KEY, now=NOW, memory=memory)
    assert owners(both) == {OLD}
    assert both == compile_service(BOTH, KEY, now=NOW)


def test_a_remembered_domain_is_refused_once_its_namespace_is_allowed_no_more() -> None:
    memory, foreign = Memory(), domain("young", meta={"namespace": "tenant"})
    allowing = objects(service(allowedDomains={"namespaces": {"from": "All"}}), foreign)
    assert owners(compile_service(allowing, KEY, now=NOW, memory=memory)) == {ObjectKey("tenant", "young")}
    denying = replace(allowing, services=objects(service()).services)
    denied = compile_service(denying, KEY, now=NOW, memory=memory)
    assert not denied.entries
    assert denied == compile_service(denying, KEY, now=NOW)
