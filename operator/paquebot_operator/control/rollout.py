"""From a written configuration to pods that run it: each pod is nudged, asked, and nudged again until it says so.

The nudge is an annotation on the pod: the kubelet then refreshes the mounted Secrets at once instead of after a minute.
"""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from paquebot_operator.cluster.api import Api
from paquebot_operator.cluster.errors import ClusterError
from paquebot_operator.cluster.pods import AsksPods, PodConfig
from paquebot_operator.cluster.resources import PODS, Place
from paquebot_operator.control.clocks import Clock
from paquebot_operator.control.pods import NUDGE_ANNOTATION, Pod

FAST_SECONDS: Final = 0.075
FAST_FOR_SECONDS: Final = 10.0
PENDING_SECONDS: Final = 1.0
SLOW_SECONDS: Final = 15.0
FIRST_NUDGE_SECONDS: Final = 3.0
RENUDGE_SECONDS: Final = 2.0
MAX_RENUDGE_SECONDS: Final = 60.0
ASKED_AT_ONCE: Final = 32


@dataclass
class Follow:
    """One pod, and what it said last.

    Attributes:
        nudges: since the configuration that it should run was written.
        next_nudge: when, on the monotonic clock, it is nudged if it doesn't run the configuration by then.
    """

    pod: Pod
    next_nudge: float
    nudges: int = 0
    said: PodConfig = PodConfig()  # noqa: RUF009 - a value


class Rollout:
    """Follows the pods of one service.

    Args:
        told: called after each round in which any pod said something new.
    """

    def __init__(self, api: Api, asks: AsksPods, clock: Clock, told: Callable[[], None]) -> None:
        self._api = api
        self._asks = asks
        self._clock = clock
        self._told = told
        self._wanted = ""
        self._since = clock.monotonic()
        self._follows: dict[str, Follow] = {}
        self._wake = asyncio.Event()

    @property
    def follows(self) -> list[Follow]:
        """All pods, by name."""
        return sorted(self._follows.values(), key=lambda follow: follow.pod.name)

    def want(self, digest: str, *, is_new: bool) -> None:
        """Pods should run the configuration; a new one is nudged for at once, one found in the cluster is asked for."""
        if digest == self._wanted:
            return
        self._wanted, self._since = digest, self._clock.monotonic()
        for follow in self._follows.values():
            follow.nudges, follow.next_nudge = 0, self._since + (0.0 if is_new else FIRST_NUDGE_SECONDS)
        self._wake.set()

    def pods(self, pods: Iterable[Pod]) -> None:
        """Take the pods that there are; those that end are no longer waited for."""
        there = {pod.uid: pod for pod in pods if not pod.ending}
        changed = self._follows.keys() != there.keys()
        for uid in self._follows.keys() - there.keys():
            del self._follows[uid]
        for uid, pod in there.items():
            follow = self._follows.get(uid)
            if follow is None:
                # It starts with the newest configuration, most likely.
                self._follows[uid] = Follow(pod, self._clock.monotonic() + FIRST_NUDGE_SECONDS)
                self._since = self._clock.monotonic()
            else:
                changed = changed or follow.pod != pod
                follow.pod = pod
        if changed:
            self._wake.set()

    def running(self) -> list[str]:
        """What each ready pod runs: the configuration's digest once all its workers do, else empty."""
        return [_running(follow.said) for follow in self._follows.values() if follow.pod.ready]

    def is_done(self) -> bool:
        """Whether every ready pod runs what it should, and there is one."""
        return bool(self._wanted) and set(self.running()) == {self._wanted}

    def runs_wanted(self, follow: Follow) -> bool:
        """Whether a pod runs what it should."""
        return bool(self._wanted) and follow.said.runs(self._wanted)

    async def keep_up(self) -> None:
        """Follow for ever."""
        while True:
            self._wake.clear()
            if self._wanted:
                await self.round()
            waiter = asyncio.ensure_future(self._wake.wait())
            pause = asyncio.ensure_future(self._clock.sleep(self._pause()))
            try:
                await asyncio.wait({waiter, pause}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                waiter.cancel()
                pause.cancel()

    async def round(self) -> None:
        """Nudge those whose time it is, and ask all once."""
        slots = asyncio.Semaphore(ASKED_AT_ONCE)
        follows = list(self._follows.values())
        said_before = [follow.said for follow in follows]

        async def one(follow: Follow) -> None:
            async with slots:
                await self._nudge_if_due(follow)
                await self._ask(follow)

        await asyncio.gather(*(one(follow) for follow in follows))
        if said_before != [follow.said for follow in follows]:
            self._told()

    def _pause(self) -> float:
        pending = [follow for follow in self._follows.values() if not self.runs_wanted(follow)]
        if not pending or not self._wanted:
            return SLOW_SECONDS
        return FAST_SECONDS if self._clock.monotonic() - self._since < FAST_FOR_SECONDS else PENDING_SECONDS

    async def _ask(self, follow: Follow) -> None:
        if not follow.pod.address:
            return
        said = await self._asks.ask(follow.pod.address, follow.pod.admin_port)
        if said is not None:
            follow.said = said

    async def _nudge_if_due(self, follow: Follow) -> None:
        now = self._clock.monotonic()
        if self.runs_wanted(follow) or now < follow.next_nudge or not follow.pod.address:
            return
        follow.nudges += 1
        follow.next_nudge = now + min(RENUDGE_SECONDS * 2 ** (follow.nudges - 1), MAX_RENUDGE_SECONDS)
        text = f"{self._wanted[:16]}.{follow.nudges}"
        try:
            await self._api.annotate(PODS, Place(follow.pod.namespace, follow.pod.name), {NUDGE_ANNOTATION: text})
        except ClusterError:
            # It ends, or the API server is away: the next nudge is on its way already.
            return


def _running(said: PodConfig) -> str:
    return said.digest if said.runs(said.digest) else ""
