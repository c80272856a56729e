"""What desired objects become on real nodes: pods that take mail, and can do nothing else."""

from __future__ import annotations

import json
import smtplib
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Any

import pytest

from paquebot_operator.api.mailservice import MailService
from paquebot_operator.desired import Context, config_secrets, desired_objects
from paquebot_operator.desired.metadata import Manifest, selector_labels
from tests.operator.builders import Json, compiled, domain, service
from tests.operator.desired.services import listener, mail_service
from tests.support.processes import PeerError, wait_until

from .cluster import Cluster
from .fixtures import RESTRICTED
from .inside import PROBE

CONTEXT = Context(image="paquebot:test", operator_namespace="paquebot-system")
# A port below 1024, and maildirs on the queue's volume.
SPEC: Json = {"listeners": [listener(port=25)], "pods": {"imagePullPolicy": "Never"}}
DOMAIN = domain(delivery={"maildir": {"path": "/var/lib/paquebot/mail/%{domain}/%{user}"}})
READY_SECONDS = 90.0


@dataclass(frozen=True)
class Pool:
    """The pods of one MailService that nobody but the test looks after."""

    cluster: Cluster
    service: MailService

    @property
    def namespace(self) -> str:
        return self.service.metadata.namespace

    def configure(self, *domains: Json) -> None:
        """Write the configuration, as the operator would."""
        files = compiled(service(**SPEC), *domains).files
        self.apply(*(_without_owner(each) for each in config_secrets(self.service, files)))

    def apply(self, *manifests: Manifest) -> None:
        self.cluster.api.apply(*manifests, namespace=self.namespace)

    def pods(self, *, ready: bool = True) -> list[Manifest]:
        labels = ",".join(f"{name}={value}" for name, value in selector_labels(self.service).items())
        found = self.cluster.api.get("pods", "-n", self.namespace, "-l", labels)["items"]
        return [pod for pod in found if not ready or _is_ready(pod)]

    def wait_for(self, number: int) -> list[Manifest]:
        try:
            wait_until(lambda: len(self.pods()) == number, f"{number} ready pods", timeout_seconds=READY_SECONDS)
        except PeerError as error:
            raise PeerError(f"{error}; there is:\n{self.overview()}") from None
        return self.pods()

    def overview(self) -> str:
        """Its pods, and what happened to them."""
        kubectl = self.cluster.api.kubectl
        return kubectl("get", "pods", "-n", self.namespace, "-o", "wide") + kubectl("events", "-n", self.namespace)

    def inside(self, pod: Manifest, program: str) -> Any:
        """What a Python program prints in a pod, as JSON."""
        return json.loads(self.cluster.exec(self.namespace, pod["metadata"]["name"], "python", "-c", program))


def _is_ready(pod: Manifest) -> bool:
    return any(each["type"] == "Ready" and each["status"] == "True" for each in pod["status"].get("conditions", []))


def pool_of(cluster: Cluster, namespace: str, name: str, **spec: Any) -> Pool:
    storage = {"storage": {"size": "1Gi", "storageClassName": cluster.storage_class}}
    found = mail_service(name, namespace=namespace, **SPEC | {"queue": storage} | spec)
    # Its owner would be a MailService, which isn't there: the garbage collector would take all away at once.
    pool = Pool(cluster, found)
    pool.apply(*(_without_owner(each) for each in desired_objects(found, CONTEXT)))
    return pool


def _without_owner(manifest: Manifest) -> Manifest:
    metadata = {name: value for name, value in manifest["metadata"].items() if name != "ownerReferences"}
    return manifest | {"metadata": metadata}


@pytest.fixture(scope="module")
def restricted(cluster: Cluster) -> Iterator[str]:
    """A namespace with Pod Security "restricted", on nodes that have the image."""
    cluster.load_project_image()
    namespace = cluster.api.new_namespace(RESTRICTED)
    yield namespace
    cluster.api.kubectl("delete", "namespace", namespace, "--wait=false")


@pytest.fixture(scope="module")
def pool(cluster: Cluster, restricted: str) -> Pool:
    found = pool_of(cluster, restricted, "post")
    found.configure(DOMAIN)
    found.wait_for(2)
    return found


def test_pods_are_spread_over_the_nodes(pool: Pool) -> None:
    assert len({pod["spec"]["nodeName"] for pod in pool.pods()}) == 2


def test_mail_goes_through_the_service_into_a_maildir(pool: Pool) -> None:
    address = pool.cluster.api.get("service", "post-mx", "-n", pool.namespace)["spec"]["clusterIP"]
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "bob@example.org", "alice@example.test", "hello"
    message.set_content("hello")
    with smtplib.SMTP(address, 25, timeout=20) as client:
        assert client.send_message(message) == {}
    count = "import json, glob; print(json.dumps(len(glob.glob('/var/lib/paquebot/mail/example.test/alice/new/*'))))"
    pod = pool.pods()[0]
    wait_until(lambda: pool.inside(pod, count) == 1, "the mail in the maildir", timeout_seconds=30.0)


def test_a_pod_has_no_token_no_capability_and_no_place_to_write(pool: Pool) -> None:
    for pod in pool.pods():
        found = pool.inside(pod, PROBE)
        assert found["uid"] == 65_532
        assert set(found["capabilities"]) == {"0" * 16}
        assert (found["no_new_privileges"], found["seccomp"]) == ("1", "2")
        assert found["token"] is False
        kernels = {place for place in found["writable"] if place.startswith(("/dev/shm", "/dev/mqueue"))}
        assert set(found["writable"]) - kernels == {"/run/paquebot", "/tmp", "/var/lib/paquebot"}


def test_a_pod_tells_what_it_runs_on_its_admin_port(pool: Pool) -> None:
    for pod in pool.pods():
        with urllib.request.urlopen(f"http://{pod['status']['podIP']}:9025/config", timeout=10) as answer:
            assert len(json.load(answer)["digest"]) == 64


def test_a_pod_without_configuration_waits_and_is_not_ready(cluster: Cluster, restricted: str) -> None:
    waiting = pool_of(cluster, restricted, "waiting", replicas=1)
    wait_until(lambda: _is_running(waiting), "a running pod", timeout_seconds=READY_SECONDS)
    assert waiting.pods() == []
    waiting.configure(DOMAIN)
    (pod,) = waiting.pods(ready=False)
    cluster.api.kubectl("annotate", "pod", pod["metadata"]["name"], "-n", restricted, "nudge=1")
    (pod,) = waiting.wait_for(1)
    assert pod["status"]["containerStatuses"][0]["restartCount"] == 0


def _is_running(pool: Pool) -> bool:
    return any(pod["status"].get("phase") == "Running" for pod in pool.pods(ready=False))
