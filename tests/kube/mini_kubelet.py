"""Pods without a node: Pod objects whose mounted Secrets a thread keeps up to date, as the kubelet does when nudged.

A pod's admin port answers `/config` from the mirrored files as an MTA does, read by the MTA's own reader; or a real
`paquebot mta` reads the directory (`tests.support`), and this only keeps its files and its Pod object.
"""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from paquebot_mta.config.codec import load
from paquebot_mta.config.directory import write_directory
from paquebot_mta.config.errors import ConfigError
from paquebot_mta.config.service import MtaConfig
from paquebot_operator.desired.metadata import SERVICE_LABEL
from paquebot_operator.desired.names import config_secret_names, service_label
from tests.support.processes import LOOPBACK, free_port

from .control_plane import ControlPlane
from .rest import Rest

POLL_SECONDS = 0.05
NUDGE = "paquebot.dev/config"


class MirroredPod:
    """One pod of a MailService; `port` is its admin port. Without `directory` nothing is written to disk.

    With a `directory` a real mail server reads it, and `is_ready` asks that one; a stub reads what it was given.
    """

    def __init__(
        self,
        plane: ControlPlane,
        namespace: str,
        service: str,
        name: str,
        *,
        port: int = 0,
        directory: Path | None = None,
        is_ready: Callable[[], bool] | None = None,
    ) -> None:
        self.name = name
        self.port = port or free_port()
        self.config: MtaConfig | None = None
        self.rejected = ""
        self.deaf = False
        self.nudges: list[str] = []
        self._service = service
        self._pods = f"/api/v1/namespaces/{namespace}/pods"
        self._secrets = f"/api/v1/namespaces/{namespace}/secrets"
        self._directory = directory
        self._is_ready = is_ready or (lambda: self.config is not None)
        self._rest = Rest(plane)
        self._stop = threading.Event()
        self._stub = None if port else _answering(self)
        self._create(namespace)
        self._thread = threading.Thread(target=self._follow, name=f"mirror-{name}", daemon=True)
        self._thread.start()

    def domains(self) -> set[str]:
        """Domains that it serves now."""
        return set(self.config.domains) if self.config is not None else set()

    def ready(self, *, is_ready: bool = True) -> None:
        """Say that the pod is ready, or isn't, and where it is."""
        conditions = [{"type": "Ready", "status": "True" if is_ready else "False"}]
        status = {"phase": "Running", "podIP": LOOPBACK, "podIPs": [{"ip": LOOPBACK}], "conditions": conditions}
        path, kind = f"{self._pods}/{self.name}/status", "application/merge-patch+json"
        answer = self._rest.request("PATCH", path, {"status": status}, kind)
        assert answer.code == 200, answer.message

    def answer(self) -> dict[str, Any]:
        """What its admin port says."""
        found = self.config
        return {
            "generation": found.generation if found is not None else 0,
            "digest": found.digest if found is not None else "",
            "rejectedDigest": "-" if self.rejected else "",
            "rejectedReason": self.rejected,
            "workers": [],
        }

    def end(self) -> None:
        """Stop mirroring; the Pod object stays until `delete`."""
        self._stop.set()
        self._thread.join(timeout=10)
        self._rest.close()
        if self._stub is not None:
            self._stub.shutdown()
            self._stub.server_close()

    def _create(self, namespace: str) -> None:
        container = {
            "name": "mta",
            "image": "paquebot:test",
            "ports": [{"name": "admin", "containerPort": self.port, "protocol": "TCP"}],
        }
        labels = {SERVICE_LABEL: service_label(self._service)}
        manifest = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": self.name, "namespace": namespace, "labels": labels},
            "spec": {"containers": [container], "nodeName": "nowhere"},
        }
        answer = self._rest.create(manifest, "pods", namespace, dry_run=False)
        assert answer.code == 201, answer.message
        self.mirror()
        self.ready(is_ready=self._is_ready())

    def _follow(self) -> None:
        seen, was_ready = "", self._is_ready()
        while not self._stop.wait(POLL_SECONDS):
            try:
                nudge = self._nudge()
                if self.deaf or (nudge == seen and was_ready):
                    continue
                self.mirror()
                if nudge != seen:
                    self.nudges.append(nudge)
                seen = nudge
                if not was_ready and self._is_ready():
                    self.ready()
                    was_ready = True
            except OSError:
                self._rest.close()  # the API server is away; the pod goes on with what it has

    def _nudge(self) -> str:
        answer = self._rest.request("GET", f"{self._pods}/{self.name}")
        return str((answer.body.get("metadata", {}).get("annotations") or {}).get(NUDGE, ""))

    def mirror(self) -> None:
        """Read all config Secrets and take them, as a pod with them mounted would."""
        names = set(config_secret_names(self._service))
        files: dict[str, bytes] = {}
        answer = self._rest.request("GET", self._secrets)
        if answer.code != 200:
            raise OSError(answer.message)
        for secret in answer.body["items"]:
            if secret["metadata"]["name"] in names:
                data = secret.get("data") or {}
                files.update({key: base64.b64decode(text) for key, text in data.items()})
        if not files:
            return
        if self._directory is not None:
            write_directory(self._directory, files)
            return
        try:
            self.config, self.rejected = load(files), ""
        except ConfigError as error:
            self.rejected = str(error)


@contextmanager
def mirrored_pods(plane: ControlPlane, namespace: str, service: str, count: int) -> Iterator[list[MirroredPod]]:
    """Yield pods of a MailService, ended afterwards."""
    pods = [MirroredPod(plane, namespace, service, f"{service}-{number}") for number in range(count)]
    try:
        yield pods
    finally:
        for pod in pods:
            pod.end()


def _answering(pod: MirroredPod) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(pod.answer()).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer((LOOPBACK, pod.port), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, name=f"admin-{pod.name}", daemon=True).start()
    return server
