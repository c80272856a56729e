"""Nobody's mailboxes lie in the queue, and a guest's are its own: who may attach a domain may write nothing else."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paquebot_mta.config.actions import Action, Maildir
from paquebot_mta.config.domains import Domain
from paquebot_operator.compile.last_good import LastGood
from paquebot_operator.compile.objects import ObjectKey, Objects
from paquebot_operator.compile.service import compile_service
from paquebot_operator.compile.tenancy import path_faults
from tests.operator.builders import (
    API,
    KEY,
    NOW,
    Json,
    compiled,
    decoded,
    domain,
    found,
    metadata,
    objects,
    service,
)

OPEN = service(allowedDomains={"namespaces": {"from": "All"}})
MAIL = "/var/lib/paquebot/mail"
ROOM = f"{MAIL}/%{{domain}}"
QUEUE_PATHS = [
    "/var/lib/paquebot/queue/v1/%{user}",
    "/var/lib/paquebot//./queue/%{user}",
    "/var/lib/paquebot/%{user}/v1/format",
    "/var/lib/paquebot/q%{user}/x",
    "/var/%{extension}lib/paquebot/queue",
    "var/lib/paquebot/queue/%{user}",
]


def guest(**spec: Any) -> Json:
    return domain("guest", meta=metadata("guest", "tenant"), domain="guest.test", **spec)


def mail_filter(**spec: Any) -> Json:
    return {"apiVersion": API, "kind": "MailFilter", "metadata": metadata("asked", "tenant"), "spec": spec}


@pytest.mark.parametrize("path", QUEUE_PATHS)
@pytest.mark.parametrize("kind", ["maildir", "mbox"])
def test_no_mailbox_lies_in_the_queue_not_even_the_owners(kind: str, path: str) -> None:
    result = compiled(service(), domain(delivery={kind: {"path": path}}))
    assert found(result, "MailDomain", "PathNotAllowed").field == f"spec.delivery.{kind}.path"
    assert result.config is not None
    assert not result.config.domains
    action = {"name": "a", kind: {"path": path}}
    assert found(compiled(service(actions=[action])), "MailService", "PathNotAllowed").status == "False"


@pytest.mark.parametrize(
    "path", ["/m/%{user}", ".paquebot/mail/%{user}", f"{MAIL}/%{{user}}", "/var/lib/x/queue/%{user}"]
)
def test_an_owner_is_free_beside_the_queue(path: str) -> None:
    result = compiled(service(), domain(delivery={"maildir": {"path": path}}))
    assert result.config is not None
    assert result.config.domains


@pytest.mark.parametrize(
    "path",
    [
        *QUEUE_PATHS,
        ".paquebot/mail/victim.test/alice",
        f"{ROOM}/%{{user}}"[1:],
        f"{MAIL}/victim.test/alice",
        f"{MAIL}/victim.test/%{{domain}}/%{{user}}",
        f"{MAIL}/%{{user}}/%{{domain}}",
        f"{MAIL}/x%{{domain}}/%{{user}}",
        f"{MAIL}/%{{user}}",
        "/tmp/%{domain}/%{user}",
    ],
)
@pytest.mark.parametrize("kind", ["maildir", "mbox"])
def test_a_guests_mailboxes_lie_in_a_folder_of_its_domain(kind: str, path: str) -> None:
    result = compiled(OPEN, guest(delivery={kind: {"path": path}}), domain())
    assert found(result, "MailDomain", "PathNotAllowed").namespace == "tenant"
    assert result.config is not None
    assert set(result.config.domains) == {"example.test"}


@pytest.mark.parametrize(
    "path", [f"{ROOM}/%{{user}}", f"{ROOM}/a/%{{user}}/%{{extension}}", f"{MAIL}//%{{domain}}/%{{user}}"]
)
def test_a_guest_has_its_room(path: str) -> None:
    result = compiled(OPEN, guest(delivery={"maildir": {"path": path}}))
    assert result.config is not None
    assert set(result.config.domains) == {"guest.test"}


def test_a_guest_names_no_socket_and_no_file_of_the_pods() -> None:
    socket = guest(delivery={"lmtp": {"destination": "unix:/run/x"}})
    assert found(compiled(OPEN, socket), "MailDomain", "PathNotAllowed").field == "spec.delivery.lmtp.destination"
    for kind in ({"greylist": {"store": "sqlite:/x"}}, {"milter": {"address": "unix:/run/x"}}):
        asks = guest(delivery={"discard": {}}, filterRefs=[{"name": "asked"}])
        result = compiled(OPEN, asks, mail_filter(**kind))
        assert found(result, "MailDomain", "PathNotAllowed").field == "spec.filterRefs"


def test_without_a_cluster_all_manifests_are_of_one_person() -> None:
    local = Objects.of(decoded(OPEN, guest(delivery={"maildir": {"path": ".paquebot/mail/%{user}"}})), local=True)
    config = compile_service(local, KEY, now=NOW).config
    assert config is not None
    assert set(config.domains) == {"guest.test"}


@pytest.mark.parametrize(("path", "kept"), [(f"{ROOM}/%{{user}}", True), (f"{MAIL}/victim.test/alice", False)])
def test_what_is_kept_of_a_guest_keeps_to_its_room_too(path: str, kept: bool) -> None:
    good = compiled(OPEN, guest(delivery={"maildir": {"path": f"{ROOM}/%{{user}}"}}))
    assert good.config is not None
    good.config.domains["guest.test"] = Domain(name="guest.test", delivery=Action(maildir=Maildir(path=path)))
    last = LastGood(good.config, {"guest.test": ObjectKey("tenant", "guest")})
    broken = objects(OPEN, guest(delivery={"maildir": {"path": "/elsewhere"}}))
    config = compile_service(broken, KEY, now=NOW, last=last).config
    assert config is not None
    assert bool(config.domains) is kept


NAMES = ("%{user}", "%{domain}", "var", "lib", "paquebot", "queue", "mail", ".", "")


@given(st.lists(st.sampled_from(NAMES), max_size=4), st.booleans())
def test_whatever_a_guest_may_write_is_below_its_own_folder(names: list[str], below: bool) -> None:
    template = "/".join([MAIL if below else "", *names])
    if any(path_faults(Action(maildir=Maildir(path=template)), guest=True)):
        return
    spelled = template.replace("%{domain}", "guest.test").replace("%{user}", "queue")
    assert [name for name in spelled.split("/") if name not in {"", "."}][:5] == [*MAIL.split("/")[1:], "guest.test"]
