"""A MailService with pods in a fake cluster: pods take what the Secrets say once they are nudged."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from paquebot_mta.config.codec import load
from paquebot_mta.config.errors import ConfigError
from paquebot_mta.config.service import MtaConfig
from paquebot_operator.cluster.pods import PodConfig
from paquebot_operator.cluster.resources import MAIL_DOMAINS, MAIL_SERVICES, PODS, SECRETS, Json, Place
from paquebot_operator.control.core import Core
from paquebot_operator.control.metrics import Metrics
from paquebot_operator.control.parts import Settings
from paquebot_operator.control.pods import NUDGE_ANNOTATION
from paquebot_operator.desired.names import config_secret_names
from tests.operator.builders import domain, service

from .fake_cluster import FakeCluster, Write

SERVICE = Place("default", "post")


class Pool:
    """Pods that answer as MTAs do; `address` of a pod is its name. Those in `deaf` take nothing new.

    With a `refusal` they take no configuration at all, for that reason.
    """

    def __init__(self, cluster: FakeCluster) -> None:
        self.cluster = cluster
        self.deaf: set[str] = set()
        self.refusal = ""
        self.domains: dict[str, set[str]] = {}
        self._seen: dict[str, str] = {}
        self._said: dict[str, PodConfig] = {}

    def add(self, name: str, *, ready: bool = True) -> None:
        """A pod starts, with what the Secrets say now."""
        self._take(name)
        self.cluster.put(pod_manifest(name, ready=ready))

    async def ask(self, address: str, port: int) -> PodConfig | None:
        """What a pod answers; it looks at its mount if it was nudged since."""
        raw = self.cluster.objects.get((PODS, Place("default", address)))
        if raw is None:
            return None
        nudge = raw["metadata"].get("annotations", {}).get(NUDGE_ANNOTATION, "")
        if address not in self.deaf and nudge != self._seen.get(address, ""):
            self._seen[address] = nudge
            self._take(address)
        return self._said[address]

    def _take(self, name: str) -> None:
        files: dict[str, bytes] = {}
        for secret in config_secret_names(SERVICE.name):
            raw = self.cluster.objects.get((SECRETS, Place("default", secret)), {})
            files.update({key: base64.b64decode(text) for key, text in raw.get("data", {}).items()})
        before = self._said.get(name, PodConfig())
        try:
            found = _loaded(files, self.refusal)
        except ConfigError as error:
            self._said[name] = PodConfig(before.generation, before.digest, "-", str(error))
        else:
            self.domains[name] = set(found.domains)
            self._said[name] = PodConfig(found.generation, found.digest)


def _loaded(files: dict[str, bytes], refusal: str) -> MtaConfig:
    if refusal:
        raise ConfigError("service", refusal)
    return load(files)


def pod_manifest(name: str, *, ready: bool = True) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"namespace": "default", "name": name, "labels": {"paquebot.dev/service": "post"}},
        "spec": {"containers": [{"name": "mta"}], "nodeName": "node"},
        "status": {
            "phase": "Running",
            "podIP": name,
            "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
        },
    }


def quiet_service(**spec: Any) -> Json:
    return service(**{"dnsCheck": {"mode": "Disabled"}} | spec)


def small_domain(name: str, **spec: Any) -> Json:
    return domain(name, **{"domain": f"{name}.test", "delivery": {"discard": {}}} | spec)


@asynccontextmanager
async def working(cluster: FakeCluster, pool: Pool, **settings: Any) -> AsyncIterator[Core]:
    """Run an operator on the cluster; what it writes it sees, too."""
    core = Core(
        cluster, pool, Settings("paquebot:test", "system", **{"grace_seconds": 0.2} | settings), "me", Metrics()
    )
    task = asyncio.create_task(core.run())
    cluster.see = core.see
    try:
        await until(lambda: core.is_ready, "listed")
        yield core
    finally:
        cluster.see = lambda resource, kind, raw: None
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(check: Callable[[], object], what: str, timeout_seconds: float = 8.0) -> None:
    """Wait until something holds."""
    try:
        async with asyncio.timeout(timeout_seconds):
            while not check():  # noqa: ASYNC110 - a cluster in memory has no events of what it was asked
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(what) from None


def programmed(cluster: FakeCluster, name: str) -> bool:
    return cluster.condition(MAIL_DOMAINS, Place("default", name), "Programmed")[0] == "True"


def service_ready(cluster: FakeCluster) -> bool:
    return cluster.condition(MAIL_SERVICES, SERVICE, "Ready")[0] == "True"


def writes_of(cluster: FakeCluster, *plurals: str) -> list[Write]:
    return [each for each in cluster.writes if each.plural in plurals]
