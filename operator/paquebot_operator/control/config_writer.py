"""Config Secrets on their way to the API server: only those that differ, the index last, none that is another's."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from paquebot_operator.api.mailservice import MailService
from paquebot_operator.cluster.api import Api
from paquebot_operator.cluster.errors import ClusterError, DeniedError, RefusedError
from paquebot_operator.cluster.resources import Json
from paquebot_operator.control.conditions import Said
from paquebot_operator.control.live import IN_FLIGHT, LiveSecrets, mark_of
from paquebot_operator.desired import ConfigTooBigError, config_secrets

_INDEX: Final = "index.json"


@dataclass(frozen=True)
class Written:
    """How many Secrets were written, or why the configuration could not be: pods go on with what they have then."""

    count: int = 0
    trouble: Said | None = None


async def write_config(api: Api, live: LiveSecrets, service: MailService, files: Mapping[str, bytes]) -> Written:
    """Write what differs from ``live``, which knows of it afterwards.

    Raises:
        ClusterError: the API server is away; some may be written.
    """
    if live.foreign:
        name, writer = min(live.foreign.items())
        whose = f" ({writer} made it)" if writer else ""
        message = f"Secret {name} is there already and somebody else's{whose}: delete it or give it another name"
        return Written(trouble=Said("Programmed", "False", "ObjectTaken", message))
    try:
        manifests = config_secrets(service, files, tuple(live.marks))
    except ConfigTooBigError as error:
        return Written(trouble=Said("Programmed", "False", "ConfigTooBig", str(error)))
    changed = [each for each in manifests if live.marks.get(each["metadata"]["name"]) != mark_of(each)]
    try:
        await _write(api, live, [each for each in changed if _INDEX not in each.get("data", {})])
        await _write(api, live, [each for each in changed if _INDEX in each.get("data", {})])
    except (RefusedError, DeniedError) as error:
        return Written(trouble=Said("Programmed", "False", "ObjectRefused", f"config Secrets: {error.reason}"))
    return Written(len(changed))


async def _write(api: Api, live: LiveSecrets, manifests: list[Json]) -> None:
    slots = asyncio.Semaphore(IN_FLIGHT)

    async def write(manifest: Json) -> None:
        async with slots:
            answer = await api.apply(manifest)
        name = manifest["metadata"]["name"]
        live.marks[name] = mark_of(manifest)
        live.versions[name] = str(answer["metadata"].get("resourceVersion", ""))

    done = await asyncio.gather(*(write(manifest) for manifest in manifests), return_exceptions=True)
    # All have ended: none may be on its way still when the next pass begins.
    for each in done:
        if isinstance(each, BaseException) and not isinstance(each, ClusterError):
            raise each
    for each in done:
        if isinstance(each, BaseException):
            raise each
