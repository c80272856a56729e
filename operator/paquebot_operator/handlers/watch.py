"""kopf's low-level watches of what the operator watches, embedded in the operator's own loop.

kopf lists, watches, and watches again after every cut; what it sees goes on as it comes. It writes nothing.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from typing import Any, Final

import kopf

from paquebot_operator.cluster.resources import OWNED_WATCHED, PODS, WATCHED, Json, Resource
from paquebot_operator.cluster.transport import Credentials
from paquebot_operator.desired.metadata import MANAGED_SELECTOR, SERVICE_LABEL

See = Callable[[Resource, str | None, Json], None]
LogIn = Callable[[], Awaitable[Credentials]]
FINALIZER: Final = "paquebot.dev/finalizer"


def registry_of(see: See, login: LogIn) -> kopf.OperatorRegistry:
    """Handlers of every watched kind, users' and owned ones, each a call of ``see``."""
    registry = kopf.OperatorRegistry()
    for resource in (*WATCHED, *OWNED_WATCHED):
        _register(registry, resource, see)

    async def logged_in(**_: Any) -> kopf.ConnectionInfo:
        return _connection(await login())

    kopf.on.login(registry=registry)(logged_in)
    return registry


def _connection(found: Credentials) -> kopf.ConnectionInfo:
    return kopf.ConnectionInfo(
        server=found.server,
        ca_path=found.ca_path,
        insecure=found.insecure,
        certificate_path=found.certificate_path,
        private_key_path=found.private_key_path,
        token=found.token,
    )


def settings_of(namespaces: Collection[str]) -> kopf.OperatorSettings:
    """Settings of kopf: quick to notice a dead watch, silent, and without anything of its own in the cluster."""
    settings = kopf.OperatorSettings()
    settings.persistence.finalizer = FINALIZER
    settings.posting.enabled = False
    settings.networking.request_timeout = 30.0
    settings.networking.connect_timeout = 5.0
    settings.watching.server_timeout = 300
    settings.watching.client_timeout = 310
    settings.watching.reconnect_backoff = 0.5
    settings.watching.label_selectors[PODS.plural] = SERVICE_LABEL
    for resource in OWNED_WATCHED:
        settings.watching.label_selectors[resource.plural] = MANAGED_SELECTOR
    # What is watched is known: no list of CRDs or namespaces is needed, nor the right to it.
    settings.scanning.disabled = True
    # A worker an object lives that long after its last event: at ten thousand objects seconds are megabytes.
    settings.queueing.idle_timeout = 0.5
    settings.process.ultimate_exiting_timeout = 10.0
    return settings


async def watch(see: See, login: LogIn, namespaces: Collection[str], started: asyncio.Event) -> None:
    """Watch until cancelled; any other end is an error of kopf, or a watch that can't go on.

    ``started`` is set once kopf has taken SIGTERM and SIGINT for itself: who wants them takes them back then.
    """
    await kopf.operator(
        registry=registry_of(see, login),
        settings=settings_of(namespaces),
        standalone=True,
        clusterwide=not namespaces,
        namespaces=tuple(namespaces),
        ready_flag=started,
    )


def _register(registry: kopf.OperatorRegistry, resource: Resource, see: See) -> None:
    async def seen(event: kopf.RawEvent, **_: Any) -> None:
        see(resource, event["type"], dict(event["object"]))

    kopf.on.event(resource.group, resource.version, resource.plural, id=resource.plural, registry=registry)(seen)
