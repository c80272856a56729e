"""Requests as the API server wants them, and its answers as types."""

from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest

from paquebot_operator.cluster.client import Cluster
from paquebot_operator.cluster.errors import AbsentError, BusyError, ClusterError, ConflictError, RefusedError, error_of
from paquebot_operator.cluster.resources import DEPLOYMENTS, MAIL_DOMAINS, SECRETS, Json, Place, resource_of
from paquebot_operator.cluster.transport import Request

DOMAIN = {"metadata": {"name": "one", "namespace": "mail", "resourceVersion": "7"}}


class FakeTransport:
    """Answers from a list; an error is raised."""

    def __init__(self, *answers: Json | ClusterError) -> None:
        self.answers = list(answers)
        self.requests: list[Request] = []

    async def send(self, request: Request) -> bytes:
        self.requests.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, ClusterError):
            raise answer
        return msgspec.json.encode(answer)

    async def close(self) -> None:
        """Nothing is open."""


async def no_sleep(seconds: float) -> None:
    assert 0 < seconds < 30


def cluster(transport: FakeTransport) -> Cluster:
    return Cluster(transport, sleep=no_sleep, jitter=lambda: 0.5)


async def test_a_list_is_read_in_pages_and_its_objects_know_their_kind() -> None:
    first = {"metadata": {"resourceVersion": "40", "continue": "more"}, "items": [DOMAIN]}
    transport = FakeTransport(first, {"metadata": {"resourceVersion": "40"}, "items": []})
    pages = [page async for page in cluster(transport).list_pages(MAIL_DOMAINS, "mail")]
    assert [page.resource_version for page in pages] == [40, 40]
    assert pages[0].items[0]["kind"] == "MailDomain"
    assert parse_qs(urlsplit(transport.requests[1].target).query)["continue"] == ["more"]


async def test_a_busy_api_server_is_asked_again_as_it_wants() -> None:
    busy = BusyError(429, "slow down", retry_after_seconds=1.0)
    transport = FakeTransport(busy, busy, DOMAIN)
    assert (await cluster(transport).get(MAIL_DOMAINS, Place("mail", "one")))["metadata"]["name"] == "one"
    assert len(transport.requests) == 3


async def test_no_answer_is_not_asked_again_here() -> None:
    transport = FakeTransport(BusyError(0, "no answer"))
    with pytest.raises(BusyError):
        await cluster(transport).get(MAIL_DOMAINS, Place("mail", "one"))


async def test_owned_objects_and_statuses_have_field_managers_of_their_own() -> None:
    transport = FakeTransport(DOMAIN, DOMAIN)
    manifest: Json = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a", "namespace": "mail"}}
    await cluster(transport).apply(manifest)
    await cluster(transport).apply_status(MAIL_DOMAINS, Place("mail", "one"), {})
    managers = [parse_qs(urlsplit(request.target).query)["fieldManager"] for request in transport.requests]
    assert managers == [["paquebot"], ["paquebot-status"]]
    assert transport.requests[0].target.startswith("/apis/apps/v1/namespaces/mail/deployments/a?")
    assert "/maildomains/one/status?" in transport.requests[1].target


async def test_deleting_what_is_gone_is_no_error() -> None:
    await cluster(FakeTransport(AbsentError(404, "not found"))).delete(SECRETS, Place("mail", "one"))


@pytest.mark.parametrize(("status", "kind"), [
    (404, AbsentError), (409, ConflictError), (422, RefusedError), (429, BusyError), (503, BusyError),
])  # fmt: skip
def test_an_answer_becomes_a_type(status: int, kind: type[ClusterError]) -> None:
    assert isinstance(error_of(status, b'{"message": "so it is"}', None), kind)
    assert isinstance(error_of(status, b"<html>", "3"), kind)


def test_names_never_leave_their_place_in_a_path() -> None:
    assert SECRETS.path("mail", "../../x") == "/api/v1/namespaces/mail/secrets/..%2F..%2Fx"
    with pytest.raises(LookupError):
        resource_of({"apiVersion": "v1", "kind": "Node"})
    assert DEPLOYMENTS.api_version == "apps/v1"
