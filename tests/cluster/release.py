"""A release of the chart on a real cluster, with one pool of mail servers: what a person with kubectl does with it."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bcrypt

from tests.kube.api import Manifest
from tests.kube.cluster import Cluster
from tests.support.certificates import CertificateFiles
from tests.support.processes import PeerError, wait_until

CHART = Path(__file__).resolve().parents[2] / "charts" / "paquebot"
API = "paquebot.dev/v1alpha1"
NAME = "paquebot"
SERVICE = "post"
HOSTNAME = "mail.example.test"
USER = "alice@example.test"
MX, SUBMISSION = 2525, 5870
READY_SECONDS = 180.0


@dataclass(frozen=True)
class Release:
    """The release is in `namespace`, with the MailService `post`; it looks after the `tenants`' namespaces, too."""

    cluster: Cluster
    namespace: str
    tenants: tuple[str, str]

    def install(self) -> None:
        """Install the chart with the project's image, and wait for its operators."""
        self.cluster.api.helm(
            *("install", NAME, str(CHART), "-n", self.namespace, "--wait", "--timeout", "150s", "--take-ownership"),
            *("--set", f"image.tag={image_tag(self.cluster)}", "--set", "rbac.aggregate=false"),
            *("--set-json", f"watchNamespaces={json.dumps([self.namespace, *self.tenants])}"),
        )

    def upgrade(self, *values: str) -> None:
        """Change values, and wait for the operators of the new revision."""
        options = [part for value in values for part in ("--set", value)]
        self.cluster.api.helm(
            *("upgrade", NAME, str(CHART), "-n", self.namespace, "--reuse-values", "--wait", "--timeout", "150s"),
            *options,
        )

    def remove(self) -> None:
        """Delete all mail objects, the release, and the namespaces; definitions stay for whoever comes next."""
        api = self.cluster.api
        api.run("delete", "mailservices,maildomains,mailfilters,tables", "--all", "-n", self.namespace, "--timeout=60s")
        api.helm("uninstall", NAME, "-n", self.namespace, "--wait", "--timeout", "60s")
        api.kubectl("delete", "namespace", self.namespace, *self.tenants, "--wait=false")

    def apply(self, *manifests: Manifest, namespace: str = "") -> None:
        """Apply objects, in the release's namespace unless another is named."""
        self.cluster.api.apply(*manifests, namespace=namespace or self.namespace)

    def delete(self, kind: str, name: str, namespace: str = "") -> None:
        """Delete an object."""
        self.cluster.api.kubectl("delete", kind, name, "-n", namespace or self.namespace)

    def condition(self, kind: str, name: str, type_: str, namespace: str = "") -> tuple[str, str, str]:
        """Status, reason and message of a condition of the newest generation; empty texts without it."""
        found = self.cluster.api.get(kind, name, "-n", namespace or self.namespace)
        for each in found.get("status", {}).get("conditions", ()):
            if each["type"] == type_ and each["observedGeneration"] == found["metadata"]["generation"]:
                return each["status"], each["reason"], each["message"]
        return "", "", ""

    def wait_for(self, kind: str, name: str, type_: str, namespace: str = "") -> None:
        """Wait until a condition holds. Raises `PeerError` with all that the object says."""
        try:
            wait_until(
                lambda: self.condition(kind, name, type_, namespace)[0] == "True",
                f"{kind} {name} {type_}",
                READY_SECONDS,
            )
        except PeerError as error:
            found = self.cluster.api.kubectl("get", kind, name, "-n", namespace or self.namespace, "-o", "yaml")
            raise PeerError(f"{error}:\n{found}\n{self.logs()}") from None

    def logs(self) -> str:
        """The ends of all pods' logs, the operators' and the mail servers'."""
        api, ends = self.cluster.api, []
        for pod in api.get("pods", "-n", self.namespace)["items"]:
            name = pod["metadata"]["name"]
            ends.append(f"{name}:\n{api.run('logs', name, '-n', self.namespace, '--tail=15').stdout.decode()}")
        return "\n".join(ends)

    def address(self, listener: str) -> str:
        """The address of a listener's Service, whose port is the usual one."""
        service = self.cluster.api.get("service", f"{SERVICE}-{listener}", "-n", self.namespace)
        return str(service["spec"]["clusterIP"])

    def pods(self) -> list[Manifest]:
        """The pool's pods that are ready and not about to end."""
        found = self.cluster.api.get("pods", "-n", self.namespace, "-l", f"paquebot.dev/service={SERVICE}")["items"]
        return [each for each in found if "deletionTimestamp" not in each["metadata"] and _is_ready(each)]

    def pod_addresses(self) -> list[str]:
        """The addresses of the ready pods."""
        return [each["status"]["podIP"] for each in self.pods()]

    def inside(self, pod: Manifest, program: str) -> Any:
        """What a Python program prints in a pod, as JSON."""
        return json.loads(self.cluster.exec(self.namespace, pod["metadata"]["name"], "python", "-c", program))


def _is_ready(pod: Manifest) -> bool:
    return any(each["type"] == "Ready" and each["status"] == "True" for each in pod["status"].get("conditions", ()))


def image_tag(cluster: Cluster) -> str:
    """Put the project's image on the nodes, and return its tag."""
    return cluster.load_project_image().partition(":")[2]


def mail_service(namespaces: Iterable[str]) -> Manifest:
    """The pool: two pods, an MX listener and one for users; MailDomains of these namespaces may attach."""
    tls = {"mode": "StartTLS", "certificateRefs": [{"name": "tls"}]}
    auth = {"mode": "Required", "credentialsRef": {"name": "users"}}
    spec = {
        "hostname": HOSTNAME,
        "replicas": 2,
        "listeners": [
            {"name": "mx", "port": MX, "tls": tls},
            {
                "name": "submission",
                "port": SUBMISSION,
                "role": "Submission",
                "tls": tls | {"required": True},
                "auth": auth,
            },
        ],
        "rules": [{"name": "hosted", "match": {"from": {"any": {}}, "for": {"hosted": {}}}, "deliver": {}}],
        "allowedDomains": {"namespaces": {"from": "Selector", "names": list(namespaces)}},
        "queue": {"storage": {"size": "1Gi"}},
        "dnsCheck": {"mode": "Disabled"},
    }
    return {"apiVersion": API, "kind": "MailService", "metadata": {"name": SERVICE}, "spec": spec}


def mail_domain(name: str, domain: str, service_namespace: str, **delivery: Any) -> Manifest:
    """A MailDomain with any mailbox, attached to the pool of a namespace."""
    spec = {
        "serviceRef": {"name": SERVICE, "namespace": service_namespace},
        "domain": domain,
        "delivery": delivery,
        "acceptAnyMailbox": True,
    }
    return {"apiVersion": API, "kind": "MailDomain", "metadata": {"name": name}, "spec": spec}


def certificate_secret(files: CertificateFiles) -> Manifest:
    """The Secret of the listeners' certificate."""
    data = {"tls.crt": _base64(files.certificate.read_bytes()), "tls.key": _base64(files.key.read_bytes())}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "tls"},
        "type": "kubernetes.io/tls",
        "data": data,
    }


def users_table() -> Manifest:
    """The Table of who may log in, which is in the Secret."""
    spec = {"services": ["credentials"], "secretRef": {"name": "users"}}
    return {"apiVersion": API, "kind": "Table", "metadata": {"name": "users"}, "spec": spec}


def users_secret(password: str) -> Manifest:
    """The Secret that lets alice in, with this password."""
    line = f"{USER} {bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()}\n"
    data = {"table": _base64(line.encode())}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "users"}, "data": data}


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()
