"""Objects straight over HTTPS, as the admin: a table of bad objects takes milliseconds, kubectl would take a minute.

Must not know what the objects are.
"""

from __future__ import annotations

import http.client
import json
import ssl
from dataclasses import dataclass
from typing import Any

from .api import Manifest
from .control_plane import ControlPlane


@dataclass(frozen=True)
class Answer:
    """Status code and body of an answer."""

    code: int
    body: Manifest

    @property
    def message(self) -> str:
        """What the API server says of a refusal."""
        return str(self.body.get("message", ""))


class Rest:
    """One connection to the API server of `plane`."""

    def __init__(self, plane: ControlPlane) -> None:
        context = ssl.create_default_context(cafile=plane.authority.path)
        certificates = plane.authority.directory
        context.load_cert_chain(certificates / "admin.crt", certificates / "admin.key")
        address = plane.address
        self._connection = http.client.HTTPSConnection(address.host, address.port, timeout=30, context=context)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def create(self, manifest: Manifest, plural: str, namespace: str, *, dry_run: bool = True) -> Answer:
        """Create an object; unless it is a dry run, for good. Unknown fields are refused, as kubectl asks for."""
        group = f"apis/{manifest['apiVersion']}" if "/" in manifest["apiVersion"] else f"api/{manifest['apiVersion']}"
        options = "fieldValidation=Strict" + ("&dryRun=All" if dry_run else "")
        return self.request("POST", f"/{group}/namespaces/{namespace}/{plural}?{options}", manifest)

    def request(self, method: str, path: str, body: Any = None, content_type: str = "application/json") -> Answer:
        """Send a request and return the answer, good or bad; a connection that was idle for too long is made anew."""
        try:
            return self._exchange(method, path, body, content_type)
        except (OSError, http.client.HTTPException):
            self._connection.close()
            return self._exchange(method, path, body, content_type)

    def _exchange(self, method: str, path: str, body: Any, content_type: str) -> Answer:
        self._connection.request(method, path, json.dumps(body), {"Content-Type": content_type})
        response = self._connection.getresponse()
        return Answer(response.status, json.loads(response.read()))
