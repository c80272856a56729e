"""What kopf is told: which kinds are watched, of which objects, and that it leaves nothing in the cluster."""

from __future__ import annotations

from typing import Any

import kopf
import pytest

from paquebot_operator.cluster.permissions import IN_WATCHED_NAMESPACES
from paquebot_operator.cluster.resources import OWNED_WATCHED, PODS, WATCHED, Json, Resource
from paquebot_operator.cluster.transport import Credentials
from paquebot_operator.handlers.watch import registry_of, settings_of

CREDENTIALS = Credentials(
    server="https://api.example.test",
    ca_path=None,
    insecure=False,
    certificate_path=None,
    private_key_path=None,
    token="token",
)


async def login() -> Credentials:
    return CREDENTIALS


def registry(seen: list[tuple[Resource, str | None, Json]]) -> kopf.OperatorRegistry:
    return registry_of(lambda resource, kind, raw: seen.append((resource, kind, raw)), login)


def test_every_kind_of_users_and_of_ours_is_watched_and_changed_by_no_handler() -> None:
    found = registry([])
    watched = {str(handler.id) for handler in found._watching.get_all_handlers()}
    assert watched == {resource.plural for resource in (*WATCHED, *OWNED_WATCHED)}
    assert not list(found._changing.get_all_handlers())
    assert not list(found._spawning.get_all_handlers())


def test_the_operator_may_watch_what_it_watches() -> None:
    allowed = {(each.group, name) for each in IN_WATCHED_NAMESPACES if "watch" in each.verbs for name in each.resources}
    assert allowed == {(resource.group, resource.plural) for resource in (*WATCHED, *OWNED_WATCHED)}


@pytest.mark.parametrize("kind", [None, "ADDED", "MODIFIED", "DELETED"])
async def test_an_event_goes_on_as_it_came(kind: str | None) -> None:
    seen: list[tuple[Resource, str | None, Json]] = []
    raw = {"metadata": {"name": "one", "namespace": "mail"}, "status": {}}
    handlers = {str(each.id): each for each in registry(seen)._watching.get_all_handlers()}
    call: Any = handlers["pods"].fn
    await call(event={"type": kind, "object": raw}, logger=None)
    assert seen == [(PODS, kind, raw)]


def test_only_objects_with_our_labels_are_asked_for_where_others_have_some_too() -> None:
    selectors = settings_of(()).watching.label_selectors
    assert selectors[PODS.plural] == "paquebot.dev/service"
    for resource in OWNED_WATCHED:
        assert selectors[resource.plural] == "app.kubernetes.io/managed-by=paquebot-operator"
    assert not any(resource.plural in selectors for resource in WATCHED if resource != PODS)


def test_nothing_of_kopf_is_left_in_the_cluster() -> None:
    settings = settings_of(("mail",))
    assert not settings.posting.enabled
    assert settings.scanning.disabled
