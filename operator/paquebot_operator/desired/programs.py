"""Filter programs in a pod: each a container of its own, behind a unix socket that it shares with the MTA alone.

Sidecars (init containers that go on): they run before the MTA asks and until its last session has ended. A program's
image needs nothing of ours: a bridge that is linked statically is laid beside it.
"""

import hashlib
from collections.abc import Iterable, Mapping

from paquebot_mta.config.filters import Process
from paquebot_mta.config.service import MtaConfig
from paquebot_operator.api.mailfilter import MailFilter
from paquebot_operator.api.mailservice import MailService
from paquebot_operator.compile.filters import SOCKET, directory_of
from paquebot_operator.compile.objects import ObjectKey
from paquebot_operator.desired.amounts import amounts
from paquebot_operator.desired.context import Context, Program
from paquebot_operator.desired.metadata import Manifest, set_only

BRIDGE = "/opt/paquebot/bin/paquebot-bridge"
"""In the MTA's image."""
BRIDGE_VOLUME = "bridge"
BRIDGE_MOUNT = "/paquebot"
OWN_MOUNT = "/paquebot-socket"
USER_ID = 65_533
"""Not the MTA's: a program can't look into its files; the volume's group lets both use the socket."""


def programs_of(config: MtaConfig, filters: Mapping[ObjectKey, MailFilter]) -> tuple[Program, ...]:
    """The programs that a configuration asks, by name."""
    found: list[Program] = []
    for name in sorted(config.service.filters):
        item = filters.get(ObjectKey(*name.split("/", 1)))
        process = item.spec.process if item is not None else None
        in_use = isinstance(config.service.filters[name].kind, Process)
        if in_use and process is not None and process.image is not None:
            found.append(Program(name, process.image, process.command, process.resources, process.network))
    return tuple(found)


def init_containers(service: MailService, context: Context) -> list[Manifest]:
    """What lays the bridge down, and the programs; nothing without programs."""
    if not context.programs:
        return []
    return [_installer(service, context), *(_sidecar(each, service) for each in context.programs)]


def program_volumes(programs: Iterable[Program]) -> list[Manifest]:
    """The bridge's place, and one for the socket of each program."""
    found = [{"name": _volume(each), "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}} for each in programs]
    return [{"name": BRIDGE_VOLUME, "emptyDir": {"sizeLimit": "16Mi"}}, *found] if found else []


def socket_mounts(programs: Iterable[Program]) -> list[Manifest]:
    """Where the MTA finds the sockets."""
    return [{"name": _volume(each), "mountPath": directory_of(_key(each))} for each in programs]


def _installer(service: MailService, context: Context) -> Manifest:
    return {
        "name": "bridge",
        "image": service.spec.pods.image or context.image,
        "imagePullPolicy": service.spec.pods.image_pull_policy,
        "command": [BRIDGE, "--install", f"{BRIDGE_MOUNT}/bridge"],
        "securityContext": _security(),
        "volumeMounts": [{"name": BRIDGE_VOLUME, "mountPath": BRIDGE_MOUNT}],
    }


def _sidecar(program: Program, service: MailService) -> Manifest:
    requests, limits = amounts(program.resources.requests), amounts(program.resources.limits)
    return set_only(
        name=_volume(program),
        image=program.image,
        imagePullPolicy=service.spec.pods.image_pull_policy,
        restartPolicy="Always",
        command=[f"{BRIDGE_MOUNT}/bridge", *_cut_off(program), f"{OWN_MOUNT}/{SOCKET}", *program.command],
        resources=set_only(requests=requests, limits=limits),
        securityContext={**_security(), "runAsUser": USER_ID},
        volumeMounts=[
            {"name": BRIDGE_VOLUME, "mountPath": BRIDGE_MOUNT, "readOnly": True},
            {"name": _volume(program), "mountPath": OWN_MOUNT},
        ],
    )


def _cut_off(program: Program) -> list[str]:
    """The containers of a pod share its network: the bridge takes it from the program."""
    return [] if program.network else ["--no-network"]


def _security() -> Manifest:
    return {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }


def _key(program: Program) -> ObjectKey:
    return ObjectKey(*program.name.split("/", 1))


def _volume(program: Program) -> str:
    """A name that fits, whatever the filter's: it is the container's, too."""
    name = _key(program).name.replace(".", "-")[:40].strip("-")
    return f"filter-{name}-{hashlib.sha256(program.name.encode()).hexdigest()[:8]}"
