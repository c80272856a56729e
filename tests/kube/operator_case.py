"""What tests of the operator ask a namespace: objects in, statuses and Secrets out."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from paquebot_operator.crds.definition import definitions

from .api import Manifest
from .control_plane import ControlPlane
from .rest import Rest

API = "paquebot.dev/v1alpha1"
SERVICE = "post"


def install_definitions(plane: ControlPlane) -> None:
    """Make the API server know the project's kinds."""
    plane.api.apply(*definitions())
    names = [f"crd/{each['metadata']['name']}" for each in definitions()]
    plane.api.kubectl("wait", "--for=condition=Established", "--timeout=30s", *names)


def mail_service(**spec: Any) -> Manifest:
    """A small MailService."""
    base: Manifest = {
        "hostname": "mail.example.test",
        "listeners": [{"name": "mx", "port": 2525}],
        "rules": [{"name": "hosted", "match": {"from": {"any": {}}, "for": {"hosted": {}}}, "deliver": {}}],
        "dnsCheck": {"mode": "Disabled"},
    }
    return {"apiVersion": API, "kind": "MailService", "metadata": {"name": SERVICE}, "spec": base | spec}


def mail_domain(name: str, **spec: Any) -> Manifest:
    """A MailDomain `name`.example.test of the MailService."""
    base: Manifest = {
        "serviceRef": {"name": SERVICE},
        "domain": f"{name}.example.test",
        "delivery": {"discard": {}},
        "mailboxes": ["alice", "postmaster"],
    }
    return {"apiVersion": API, "kind": "MailDomain", "metadata": {"name": name}, "spec": base | spec}


class Case:
    """One namespace."""

    def __init__(self, plane: ControlPlane, namespace: str, directory: Path) -> None:
        self.plane = plane
        self.namespace = namespace
        self.directory = directory
        self.rest = Rest(plane)

    def apply(self, *manifests: Manifest) -> None:
        """Apply objects, by one request each: kubectl takes as long as the operator."""
        for manifest in manifests:
            path = f"{self.path(manifest['kind'], manifest['apiVersion'])}/{manifest['metadata']['name']}"
            target = f"{path}?fieldManager=tests&force=true"
            answer = self.rest.request("PATCH", target, manifest, "application/apply-patch+yaml")
            assert answer.code in {200, 201}, answer.message

    def delete(self, kind: str, name: str, api_version: str = API) -> None:
        """Delete an object."""
        answer = self.rest.request("DELETE", f"{self.path(kind, api_version)}/{name}")
        assert answer.code in {200, 202, 404}, answer.message

    def get(self, kind: str, name: str, api_version: str = API) -> Manifest | None:
        """Read an object; None without one."""
        answer = self.rest.request("GET", f"{self.path(kind, api_version)}/{name}")
        return answer.body if answer.code == 200 else None

    def list(self, kind: str, api_version: str = API) -> list[Manifest]:
        """Read all objects of a kind."""
        found: list[Manifest] = self.rest.request("GET", self.path(kind, api_version)).body["items"]
        return found

    def condition(self, kind: str, name: str, type_: str) -> tuple[str, str, str]:
        """Status, reason and message of a condition; empty texts without it."""
        found = self.get(kind, name) or {}
        for each in found.get("status", {}).get("conditions", ()):
            if each["type"] == type_:
                return each["status"], each["reason"], each.get("message", "")
        return "", "", ""

    def ready_pods(self) -> int:
        """How many pods the MailService says are ready."""
        return int((self.get("MailService", SERVICE) or {}).get("status", {}).get("readyReplicas", 0))

    def is_programmed(self, name: str) -> bool:
        """Whether a MailDomain says that pods run it, of its newest generation."""
        found = self.get("MailDomain", name) or {}
        conditions = {each["type"]: each for each in found.get("status", {}).get("conditions", ())}
        programmed = conditions.get("Programmed", {})
        newest: int = found.get("metadata", {}).get("generation", -1)
        return programmed.get("status") == "True" and int(programmed["observedGeneration"]) == newest

    def path(self, kind: str, api_version: str = API) -> str:
        """Where the API server keeps the namespace's objects of a kind."""
        group = "apis" if "/" in api_version else "api"
        plural = {"NetworkPolicy": "networkpolicies"}.get(kind, f"{kind.lower()}s")
        return f"/{group}/{api_version}/namespaces/{self.namespace}/{plural}"


def eventually(check: Callable[[], bool], what: str, timeout_seconds: float = 60.0) -> float:
    """Wait until something holds; how long it took, in seconds."""
    started = time.monotonic()
    while not check():
        if time.monotonic() - started > timeout_seconds:
            raise AssertionError(f"not within {timeout_seconds:g} s: {what}")
        time.sleep(0.02)
    return time.monotonic() - started
