"""One worker process: waits for a configuration, runs the plant, follows changes, drains on a signal."""

import asyncio
import gc
import os
import signal
import time
from collections.abc import Awaitable, Iterator
from contextlib import suppress
from typing import Final

from paquebot_mta.accept.listener import Bind
from paquebot_mta.accept.sockets import bind
from paquebot_mta.admin.app import start_worker_socket
from paquebot_mta.admin.controls import Part, Status
from paquebot_mta.admin.http import Running
from paquebot_mta.admin.port import start_admin_port
from paquebot_mta.admin.waiting import start_waiting_socket
from paquebot_mta.config.errors import ConfigError
from paquebot_mta.config.service import MtaConfig
from paquebot_mta.config.source import ConfigStatus, DirectorySource
from paquebot_mta.service.controls import Parts, WorkerControls
from paquebot_mta.service.options import Options
from paquebot_mta.service.output import Output
from paquebot_mta.service.parent import end_with
from paquebot_mta.service.plant import Plant, open_plant
from paquebot_mta.service.tracing import Tracer
from paquebot_mta.service.waiting import Waiting
from paquebot_mta.spool.layout import SpoolFormatError
from paquebot_mta.spool.store import SpoolError, SpoolStats
from paquebot_mta.telemetry.bus import Bus
from paquebot_mta.telemetry.events import ConfigEvent, Notice
from paquebot_mta.telemetry.metrics import Metrics, exposition

LAG_INTERVAL_SECONDS = 1.0
COLLECTED_AFTER: Final = (5_000, 20, 100)
"""Thresholds of the garbage collector: it looks at all objects 100 times as rarely as usual, for that stops all
sessions for 0.2 s where much mail is under way; and at young ones 7 times as rarely, a sixth of all CPU then. Hardly
anything here forms cycles."""
VOLUME_FAULTS: Final = (OSError, SpoolError, SpoolFormatError)
"""For these no configuration is to blame; a listener that can't be bound is told as a ``ConfigError``."""
Places = frozenset[tuple[str, str, int]]
"""Name, address and port of listeners."""
LAST_GOOD = "config"
"""Directory on the volume that keeps the last good configuration."""


class Worker:
    """Runs until SIGTERM or SIGINT."""

    def __init__(self, options: Options, bind: Bind = bind) -> None:
        """Nothing starts before ``run``; ``bind`` makes the sockets of listeners."""
        self._bind = bind
        self._options = options
        self._started_at = time.monotonic()
        self._bus = Bus()
        self._metrics = Metrics(options.config.name)
        self._bus.subscribe(self._metrics)
        self._output = Output(options, self._bus, self._metrics)
        self._source = DirectorySource(options.config, last_good=options.spool / LAST_GOOD, keep=self._may_keep)
        self._stop = asyncio.Event()
        self._draining = False
        self._plant: Plant | None = None
        self._admin: list[Running] = []
        self._started_on: Places = frozenset()

    async def run(self) -> int:
        """Work; answers the exit code: 0 after a drain, 1 if the worker could not start."""
        loop = asyncio.get_running_loop()
        gc.set_threshold(*COLLECTED_AFTER)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        watching = asyncio.create_task(end_with(self._options.parent, self._stop.set))
        try:
            return await self._work()
        except (ValueError, *VOLUME_FAULTS) as error:
            self._notice("error", "service.fault", cause=str(error))
            return 1
        finally:
            watching.cancel()
            self._notice("info", "service.stopped")
            self._output.close()

    async def _work(self) -> int:
        """The life of a worker, in order."""
        config = await self._first_config()
        if config is None:
            return 0
        try:
            await self._begin(config)
        except VOLUME_FAULTS:
            raise
        except Exception as error:  # whatever it is, another configuration may do
            config = await asyncio.to_thread(self._source.fall_back, error)
            self._notice("error", "service.fault", cause=str(error))
            await self._begin(config)
        try:
            await self._until_stopped(self._source.watch(self._apply, self._on_config), self._watch_lag())
            self._draining = True
            self._notice("info", "service.draining", grace_seconds=self._options.grace_seconds)
        finally:
            await self._end()
        await asyncio.to_thread(self._source.save)
        return 0

    async def _begin(self, config: MtaConfig) -> None:
        """Put the first configuration in force, or leave everything as it was.

        Raises:
            ValueError: it can't be put in force.
            OSError, SpoolError, SpoolFormatError: the volume, or the admin port, is out of order.
        """
        self._metrics.resource = config.service.name
        self._output.configure(config.service.logging)
        await asyncio.to_thread(self._options.spool.mkdir, mode=0o700, parents=True, exist_ok=True)
        self._plant = plant = await open_plant(config, self._options, self._bus, self._metrics, self._bind)
        try:
            self._output.lost |= plant.filtering.lost()
            await self._open_admin(plant)
            recovered = await plant.start()
        except BaseException:
            await self._end()
            raise
        self._started_on = _places(config)
        self._tell_loaded()
        if self._source.status.rejected_reason:
            self._on_config(self._source.status)
        await asyncio.to_thread(self._source.started)
        self._notice("info", "service.started", recovered=recovered, listeners=", ".join(self._listeners()))

    async def _end(self) -> None:
        """End everything that was begun."""
        assert self._plant is not None, "something was begun"
        await self._plant.drain(self._options.grace_seconds)
        while self._admin:
            await self._admin.pop(0).close()
        self._plant = None

    def _may_keep(self, config: MtaConfig) -> bool:
        """Whether a start would succeed with a configuration; and of several workers the first one keeps it."""
        return not self._options.worker and _places(config) == self._started_on

    async def _first_config(self) -> MtaConfig | None:
        """Wait for a configuration that can be read: without one nothing is served. None if the end comes first."""
        told, waiting = "", list[Running]()
        try:
            while not self._stop.is_set():
                try:
                    return await asyncio.to_thread(self._source.load_first)
                except ConfigError as error:
                    if str(error) != told:
                        told = str(error)
                        self._on_config(self._source.status)
                # Whoever gave the configuration asks the pod what is wrong with it.
                waiting = waiting or await self._open_waiting()
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._stop.wait(), 0.5)
            return None
        finally:
            for each in waiting:
                await each.close()

    async def _open_waiting(self) -> list[Running]:
        """Tell how this worker is while it has no configuration, where it will be controlled later."""
        tells = Waiting(self._status, lambda: exposition(self._metrics.registry))
        self._options.runtime.mkdir(mode=0o755, parents=True, exist_ok=True)
        running = [await start_waiting_socket(tells, self._options.control_socket)]
        if self._options.worker is None:
            running.append(await start_admin_port(self._options.admin_host, self._options.admin_port, [tells]))
        return running

    async def _apply(self, config: MtaConfig) -> None:
        """Put a new configuration in force."""
        assert self._plant is not None, "changes are followed after the start"
        try:
            await self._plant.replace(config)
        finally:
            self._output.configure(self._plant.config().service.logging)

    def _on_config(self, status: ConfigStatus) -> None:
        """A configuration was taken or refused."""
        if status.rejected_reason:
            self._bus.emit(
                ConfigEvent(
                    change="rejected",
                    generation=status.generation,
                    digest=status.rejected_digest,
                    reason=status.rejected_reason,
                )
            )
        else:
            self._tell_loaded()

    def _tell_loaded(self) -> None:
        """Report the configuration in force."""
        status = self._source.status
        self._bus.emit(ConfigEvent(change="loaded", generation=status.generation, digest=status.digest))

    async def _open_admin(self, plant: Plant) -> None:
        """Open the control socket, and the admin port unless a supervisor has it."""
        controls = WorkerControls(self._parts(plant), Tracer(self._bus, time.time))
        # The control sockets are private; what every user may reach is the socket that mail is submitted to.
        self._options.runtime.mkdir(mode=0o755, parents=True, exist_ok=True)
        await plant.door.open(self._options.submit_socket)
        self._admin.append(await start_worker_socket(controls, self._options.control_socket))
        if self._options.worker is None:
            self._admin.append(await start_admin_port(self._options.admin_host, self._options.admin_port, [controls]))
        self._metrics.read("paquebot_draining", lambda: float(self._draining))
        self._metrics.read("paquebot_ready", lambda: float(self._status(()).ready))

    def _parts(self, plant: Plant) -> Parts:
        """What controls act on."""
        return Parts(
            spool=plant.spool,
            dispatcher=plant.dispatcher,
            config=plant.config,
            metrics=lambda: exposition(self._metrics.registry),
            routes=plant.routes,
            hosts=plant.hosts,
            filters=plant.filtering.entries,
            key_uses=plant.spool.key_uses,
            enable_routes=plant.enable_routes,
            stats=lambda: self._stats(plant.spool.stats()),
            pause_accept=plant.acceptor.pause,
            status=self._status,
            emit=self._bus.emit,
        )

    def _stats(self, spool: SpoolStats) -> dict[str, float]:
        """Counts of this worker."""
        uptime = {"uptime": float(int(time.monotonic() - self._started_at))}
        return uptime | {f"queue.{name}": float(value) for name, value in _fields(spool)}

    def _status(self, paused: tuple[Part, ...]) -> Status:
        """How this worker is."""
        config, listeners, reasons = self._source.status, self._listeners(), self._reasons()
        return Status(
            worker=f"worker-{self._options.worker or 0}",
            pid=os.getpid(),
            healthy=True,
            ready=not reasons,
            draining=self._draining,
            reasons=tuple(reasons),
            warnings=tuple(self._plant.filtering.warnings()) if self._plant is not None else (),
            listeners=tuple(listeners),
            paused=paused,
            generation=config.generation,
            digest=config.digest,
            rejected_digest=config.rejected_digest,
            rejected_reason=config.rejected_reason,
        )

    def _reasons(self) -> list[str]:
        """Why it is not ready."""
        if self._plant is None:
            return [f"no configuration yet: {self._source.status.rejected_reason}"]
        reasons = ["draining"] if self._draining else []
        reasons += [] if self._listeners() else ["no listener is up"]
        reasons += self._plant.filtering.reasons()
        trouble = self._plant.spool.trouble()
        return [*reasons, trouble] if trouble else reasons

    def _listeners(self) -> list[str]:
        """``name address:port`` of each listener that is up."""
        bound = self._plant.acceptor.addresses() if self._plant is not None else {}
        return [f"{name} {address}" for name, address in bound.items()]

    async def _watch_lag(self) -> None:
        """Measure how late the event loop is."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + LAG_INTERVAL_SECONDS
            await asyncio.sleep(LAG_INTERVAL_SECONDS)
            self._metrics.observe("paquebot_event_loop_lag_seconds", max(0.0, loop.time() - due))

    async def _until_stopped(self, *work: Awaitable[None]) -> None:
        """Run background work until the end is asked for; work that breaks is a fault of ours and is told."""
        tasks = [asyncio.ensure_future(each) for each in work]
        stop = asyncio.ensure_future(self._stop.wait())
        await asyncio.wait({stop, *tasks}, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            if task.done() and (error := task.exception()) is not None:
                self._notice("error", "service.fault", cause=f"{type(error).__name__}: {error}")
        await stop
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _notice(self, level: str, event: str, **details: str | int | float) -> None:
        """Log a line about the process."""
        self._bus.emit(Notice(level="error" if level == "error" else "info", event=event, details=details))


def _places(config: MtaConfig) -> Places:
    """What is bound at a start, and never again."""
    return frozenset((each.name, each.address, each.port) for each in config.service.listeners)


def _fields(stats: SpoolStats) -> Iterator[tuple[str, int]]:
    """The counts of the spool, by name."""
    return ((name, getattr(stats, name)) for name in stats.__struct_fields__)
