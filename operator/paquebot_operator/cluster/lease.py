"""One of several operators works: who holds a Lease (coordination.k8s.io/v1), as client-go's leader election has it.

Times of others are never compared with ours: a lease is free once its record has not changed for ``duration`` on our
own monotonic clock. Who can't renew in time stops working before another can begin.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import monotonic
from typing import Any, Final

from paquebot_operator.cluster.api import Api
from paquebot_operator.cluster.errors import AbsentError, ClusterError, ConflictError
from paquebot_operator.cluster.resources import LEASES, Json, Place

DURATION_SECONDS: Final = 15
RENEW_SECONDS: Final = 10
RETRY_SECONDS: Final = 2.0


class LeaseLostError(RuntimeError):
    """The lease could not be renewed in time, or another operator holds it: work must stop at once."""


@dataclass
class Clocks:
    """Time and sleep, for tests to hold."""

    monotonic: Callable[[], float] = monotonic
    now: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


class Lease:
    """A lease and its holder's name.

    Args:
        api: where the Lease lies.
        place: its namespace and name.
        identity: of this process, unlike any other's, also unlike its own after a restart.
    """

    def __init__(self, api: Api, place: Place, identity: str, clocks: Clocks | None = None) -> None:
        self._api = api
        self._place = place
        self._identity = identity
        self._clocks = clocks or Clocks()
        self._held: Json = {}
        self._seen: tuple[object, float] = (None, 0.0)
        self._renewed = -float("inf")

    def is_held(self) -> bool:
        """Whether nobody else can have it yet: asked before each write, for a process may have been paused."""
        return self._clocks.monotonic() - self._renewed < DURATION_SECONDS

    async def acquire(self) -> None:
        """Wait until the lease is ours; an API server that is away is waited for."""
        while True:
            with contextlib.suppress(ClusterError):
                if await self._try_acquire():
                    return
            await self._clocks.sleep(RETRY_SECONDS)

    async def hold(self) -> None:
        """Renew for ever.

        Raises:
            LeaseLostError: it is another's, or RENEW_SECONDS passed without a renewal.
        """
        while True:
            await self._clocks.sleep(RETRY_SECONDS)
            if not self.is_held():
                raise LeaseLostError("paused for longer than the lease lasts")
            try:
                async with asyncio.timeout(RENEW_SECONDS):
                    await self._write(self._held, transitions=_transitions(self._held))
            except (ConflictError, AbsentError):
                await self._reread()
            except (ClusterError, TimeoutError):
                pass
            if self._clocks.monotonic() - self._renewed > RENEW_SECONDS:
                raise LeaseLostError(f"no renewal for {RENEW_SECONDS} s")

    async def release(self) -> None:
        """Let another begin at once, when we end as we should."""
        with contextlib.suppress(ClusterError, TimeoutError):
            async with asyncio.timeout(RETRY_SECONDS):
                spec = self._held["spec"] | {"holderIdentity": "", "leaseDurationSeconds": 1}
                await self._api.replace(self._held | {"spec": spec})

    async def _try_acquire(self) -> bool:
        started = self._clocks.monotonic()
        try:
            found = await self._api.get(LEASES, self._place)
        except AbsentError:
            self._held = await self._api.create(self._manifest({}, 0))
            self._renewed = started
            return True
        if not self._is_free(found):
            return False
        await self._write(found, transitions=_transitions(found) + 1)
        return True

    def _is_free(self, found: Json) -> bool:
        spec = found.get("spec", {})
        if not spec.get("holderIdentity"):
            return True
        version, now = found["metadata"]["resourceVersion"], self._clocks.monotonic()
        if self._seen[0] != version:
            self._seen = (version, now)
            return False
        return now - self._seen[1] > float(spec.get("leaseDurationSeconds", DURATION_SECONDS))

    async def _reread(self) -> None:
        """Somebody wrote: an edit by a person leaves us the holder, anything else ends our turn."""
        with contextlib.suppress(AbsentError):
            self._held = await self._api.get(LEASES, self._place)
            if self._held["spec"].get("holderIdentity") == self._identity:
                return
        raise LeaseLostError("another operator holds the lease, or it was deleted")

    async def _write(self, found: Json, transitions: int) -> None:
        started = self._clocks.monotonic()
        self._held = await self._api.replace(self._manifest(found, transitions))
        self._renewed = started

    def _manifest(self, found: Json, transitions: int) -> Json:
        now = self._clocks.now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        metadata: Json = {"namespace": self._place.namespace, "name": self._place.name}
        if found:
            metadata["resourceVersion"] = found["metadata"]["resourceVersion"]
        mine = found.get("spec", {}).get("holderIdentity") == self._identity
        spec: Json = {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": DURATION_SECONDS,
            "acquireTime": found["spec"].get("acquireTime", now) if mine else now,
            "renewTime": now,
            "leaseTransitions": transitions,
        }
        return {"apiVersion": LEASES.api_version, "kind": LEASES.kind, "metadata": metadata, "spec": spec}


def _transitions(found: dict[str, Any]) -> int:
    return int(found.get("spec", {}).get("leaseTransitions", 0))
