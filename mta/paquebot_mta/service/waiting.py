"""A worker without a configuration, as others see it."""

import asyncio
from collections.abc import Callable

from paquebot_mta.admin.controls import Part, Status


class Waiting:
    """Implements ``admin.controls.Tells`` for a worker that waits.

    Args:
        status: with the parts that are paused.
        metrics: slow: it is called in a thread.
    """

    def __init__(self, status: Callable[[tuple[Part, ...]], Status], metrics: Callable[[], bytes]) -> None:
        self._status = status
        self._metrics = metrics

    def status(self) -> Status:
        """Say how it is."""
        return self._status(())

    async def metrics(self) -> bytes:
        """Metrics in Prometheus' text format."""
        return await asyncio.to_thread(self._metrics)
