"""Manifests as values, short: a good service, domain and table that each test bends."""

from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from paquebot_operator.api.decode import ApiObject, decode
from paquebot_operator.compile.conditions import ObjectCondition
from paquebot_operator.compile.objects import ObjectKey, Objects
from paquebot_operator.compile.service import Compiled, compile_service
from paquebot_operator.local.self_signed import make_certificate

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
API = "paquebot.dev/v1alpha1"
HASH = "$2b$10$" + "a" * 53
KEY = ObjectKey("default", "post")

Json = dict[str, Any]


def metadata(name: str, namespace: str = "default", **more: Any) -> Json:
    return {"name": name, "namespace": namespace, **more}


def service(**spec: Any) -> Json:
    base: Json = {
        "hostname": "mail.example.test",
        "listeners": [{"name": "mx", "port": 2525}],
        "rules": [{"name": "hosted", "match": {"from": {"any": {}}, "for": {"hosted": {}}}, "deliver": {}}],
    }
    return {"apiVersion": API, "kind": "MailService", "metadata": metadata("post"), "spec": base | spec}


def domain(name: str = "example-test", *, meta: Json | None = None, **spec: Any) -> Json:
    base: Json = {
        "serviceRef": {"name": "post", "namespace": "default"},
        "domain": "example.test",
        "delivery": {"maildir": {"path": "/var/lib/paquebot/mail/%{domain}/%{user}"}},
        "mailboxes": ["alice", "postmaster"],
    }
    return {"apiVersion": API, "kind": "MailDomain", "metadata": metadata(name) | (meta or {}), "spec": base | spec}


def table(name: str, *services: str, **spec: Any) -> Json:
    return {
        "apiVersion": API,
        "kind": "Table",
        "metadata": metadata(name),
        "spec": {"services": list(services)} | spec,
    }


def secret(name: str, **texts: str) -> Json:
    data = {key.replace("_", "."): text for key, text in texts.items()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata(name), "stringData": data}


def config_map(name: str, **data: str) -> Json:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata(name), "data": data}


@cache
def pair(hostname: str = "mail.example.test", days_ago: int = 0) -> tuple[str, str]:
    chain, key = make_certificate(hostname, NOW - timedelta(days=days_ago))
    return chain.decode(), key.decode()


def tls_secret(name: str = "tls", hostname: str = "mail.example.test", days_ago: int = 0) -> Json:
    chain, key = pair(hostname, days_ago)
    return secret(name, tls_crt=chain, tls_key=key)


def submission(**auth: Any) -> Json:
    return {
        "name": "submission",
        "port": 5870,
        "role": "Submission",
        "tls": {"mode": "StartTLS", "required": True, "certificateRefs": [{"name": "tls"}]},
        "auth": {"mode": "Required", "credentialsRef": {"name": "users"}} | auth,
    }


def objects(*documents: Json) -> Objects:
    return Objects.of(decoded(*documents))


def decoded(*documents: Json) -> list[ApiObject]:
    return [decode(document) for document in documents]


def compiled(*documents: Json) -> Compiled:
    return compile_service(objects(*documents), KEY, now=NOW)


def found(result: Compiled, kind: str, reason: str) -> ObjectCondition:
    """The one condition with this reason; an error that lists what is there if it is not."""
    matching = [each for each in result.conditions if (each.kind, each.reason) == (kind, reason)]
    assert len(matching) == 1, [(each.kind, each.reason, each.field, each.message) for each in result.conditions]
    return matching[0]
