"""What a cluster of the tests has instead of CoreDNS and a storage provisioner: one process beside the control plane.

DNS on the machine's address for Services and for what `records.json` holds; a directory for each claim.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from tests.support.dns_server import DnsServer

from .api import Manifest
from .names import Zones, service_zones
from .volumes import released_volumes, wanted_volumes
from .watched import Watched, open_session

DNS_PORT = 53
_TTL_SECONDS = 1
_RECORDS_POLL_SECONDS = 0.1
_AGAIN_SECONDS = 1.0
_VOLUMES = "/api/v1/persistentvolumes"


@dataclass(frozen=True)
class Place:
    """Where the keeper finds the API server and its files, and where it answers."""

    url: str
    ca: Path
    certificate: Path
    key: Path
    address: str
    records: Path
    directory: Path


async def keep(place: Place) -> None:
    """Answer and provide until cancelled."""
    session = open_session(place.url, str(place.ca), str(place.certificate), str(place.key))
    async with session, DnsServer({}, host=place.address, port=DNS_PORT, ttl_seconds=_TTL_SECONDS) as server:
        keeper = _Keeper(place, session, server)
        async with asyncio.TaskGroup() as tasks:
            for watched in (keeper.services, keeper.slices, keeper.claims, keeper.volumes):
                tasks.create_task(watched.run())
            tasks.create_task(keeper.follow_names())
            tasks.create_task(keeper.follow_claims())


class _Keeper:
    def __init__(self, place: Place, session: aiohttp.ClientSession, server: DnsServer) -> None:
        self._place, self._session, self._server = place, session, server
        self._names, self._claims = asyncio.Event(), asyncio.Event()
        self.services = Watched(session, "/api/v1/services", self._names.set)
        self.slices = Watched(session, "/apis/discovery.k8s.io/v1/endpointslices", self._names.set)
        self.claims = Watched(session, "/api/v1/persistentvolumeclaims", self._claims.set)
        self.volumes = Watched(session, _VOLUMES, self._claims.set)

    async def follow_names(self) -> None:
        """Answer for the Services that there are, and for the records as they are written."""
        async for records in _versions(self._place.records, self._names):
            services = service_zones(self.services.objects.values(), self.slices.objects.values())
            self._server.change({**services, **records})

    async def follow_claims(self) -> None:
        """Make and remove volumes; what fails is tried again."""
        while True:
            await self._claims.wait()
            self._claims.clear()
            try:
                await self._provide()
            except (aiohttp.ClientError, TimeoutError, OSError):
                self._claims.set()
                await asyncio.sleep(_AGAIN_SECONDS)

    async def _provide(self) -> None:
        volumes = list(self.volumes.objects.values())
        for volume in wanted_volumes(self.claims.objects.values(), volumes, self._place.directory):
            await self._make(volume)
        for volume in released_volumes(volumes):
            await asyncio.to_thread(shutil.rmtree, volume["spec"]["hostPath"]["path"], ignore_errors=True)
            async with self._session.delete(f"{_VOLUMES}/{volume['metadata']['name']}"):
                pass

    async def _make(self, volume: Manifest) -> None:
        await asyncio.to_thread(_make_directory, Path(volume["spec"]["hostPath"]["path"]))
        async with self._session.post(_VOLUMES, json=volume):
            pass  # 409: it is there already, and the watch will say so


async def _versions(path: Path, changed: asyncio.Event) -> AsyncIterator[Zones]:
    """Yield what the file holds whenever it or something else has changed."""
    seen = 0
    while True:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(changed.wait(), _RECORDS_POLL_SECONDS)
        modified = await asyncio.to_thread(lambda: path.stat().st_mtime_ns)
        if changed.is_set() or modified != seen:
            changed.clear()
            seen = modified
            yield json.loads(await asyncio.to_thread(path.read_text))


def _make_directory(path: Path) -> None:
    """Make a volume's directory: its type knows no fsGroup, and pods have users of their own."""
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(0o777)
