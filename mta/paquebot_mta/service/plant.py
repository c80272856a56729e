"""Everything that runs in a worker once it has a configuration: built here, in order, and nowhere else."""

import asyncio
import os
import secrets
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

from paquebot_mta.accept.listener import Acceptor, Bind
from paquebot_mta.admin.controls import HostEntry, RouteEntry
from paquebot_mta.config.errors import ConfigError, PartlyInForceError
from paquebot_mta.config.service import MtaConfig
from paquebot_mta.deliver.pool import Network, describe_routes
from paquebot_mta.deliver.settings import RouteInfo
from paquebot_mta.dispatch.dispatcher import Dispatcher
from paquebot_mta.dispatch.notifier import BounceNotifier
from paquebot_mta.dispatch.settle import Settler
from paquebot_mta.filter.lacking import lacking_programs, without
from paquebot_mta.mail.chance import Chance
from paquebot_mta.resolver.dns_resolver import DnsResolver
from paquebot_mta.resolver.questions import Resolver
from paquebot_mta.resolver.reverse import forward_confirmed_name
from paquebot_mta.schedule.due import Schedule
from paquebot_mta.service import gauges
from paquebot_mta.service.addresses import machine_addresses
from paquebot_mta.service.door import Door
from paquebot_mta.service.filtering import FOLDER, Filtering
from paquebot_mta.service.live import Live, build_live
from paquebot_mta.service.lookups import tell_lookups
from paquebot_mta.service.offline import open_pickup
from paquebot_mta.service.options import Options
from paquebot_mta.service.outbound import Ground, Outbound, build_outbound, host_entries, route_entry
from paquebot_mta.service.steady import SteadyClock
from paquebot_mta.spool.open import open_spool
from paquebot_mta.spool.store import BackEnd
from paquebot_mta.telemetry.bus import Bus
from paquebot_mta.telemetry.metrics import Metrics

DISK_THREADS = 16
"""For maildirs and mboxes; apart from the spool's threads, so that a slow mail store never holds up a commit."""
OWN_FOLDERS = ("v1", "config", FOLDER)
"""On the queue volume: the queue, the last good configuration, what filters keep."""


class Plant:
    """The running parts of a worker."""

    def __init__(
        self,
        live: Live,
        resolver: Resolver,
        spool: BackEnd,
        bus: Bus,
        metrics: Metrics,
        filtering: Filtering,
        *,
        own: tuple[str, ...],
        bind: Bind,
    ) -> None:
        """Use ``open_plant``."""
        self.filtering = filtering
        self.live = live
        self.spool = spool
        self._resolver, self._bus, self._metrics = resolver, bus, metrics
        self._executor = ThreadPoolExecutor(DISK_THREADS, thread_name_prefix="mailbox")
        self._network = Network(bus.emit, time.monotonic)
        self._ground = Ground(self._executor, self._network, machine_addresses, bus.emit, own)
        self._outbound = build_outbound(live, resolver, self._ground)
        self._retired: list[Outbound] = []
        self._running: asyncio.Task[None] | None = None
        self._following: asyncio.Task[None] | None = None
        self._clock = SteadyClock(bus.emit)
        self.dispatcher = self._build_dispatcher()
        self.acceptor = Acceptor(
            policy=live.policy,
            spool=spool,
            emit=bus.emit,
            on_accepted=lambda message: self.dispatcher.enqueue(message),
            clock=self._clock,
            randbits=Chance().bits,
            lookup_name=self._lookup_name,
            bind=bind,
        )
        self.door = Door(self.acceptor, lambda: self.live.local)
        self._pickup = open_pickup(spool, self.door, self.config, bus.emit)

    def config(self) -> MtaConfig:
        """The configuration in force."""
        return self.live.config

    async def start(self) -> int:
        """Recover the queue, then deliver and accept; answers how many envelopes were recovered.

        Raises:
            ConfigError: a listener can't be bound, or a filter can't be started.
            OSError, SpoolError: the volume is out of order.
        """
        await self.filtering.subscribers.apply(self.live.config.service.reports)
        recovered = await self.dispatcher.recover()
        self._running = asyncio.create_task(self.dispatcher.run())
        self._following = asyncio.create_task(self.dispatcher.follow())
        self._set_gauges()
        self.filtering.read_gauges(self._metrics)
        if self.live.filters is not None:
            await self.filtering.running.apply(self.live.filters)
        try:
            await self.acceptor.start()
        except OSError as error:
            raise ConfigError("service.listeners", error.strerror or str(error)) from error
        if self._pickup is not None:
            await self._pickup.start()
        return recovered

    async def replace(self, config: MtaConfig) -> None:
        """Put a new configuration in force; sessions and deliveries in flight end under the old one.

        Raises:
            ConfigError: it can't be built; nothing changed.
            PartlyInForceError: this pod was made without a program of it; all else is in force.
        """
        lacking = await asyncio.to_thread(lacking_programs, config)
        if lacking:
            config = without(lacking, config, self.live.config)
        await self._replace(config)
        if lacking:
            names = ", ".join(sorted(lacking))
            raise PartlyInForceError(
                "service.filters",
                f"this pod is older than {names} and has no container for it: until its successor is there, what would "
                "ask it stays as it was; all else is in force",
            )

    async def _replace(self, config: MtaConfig) -> None:
        live = await asyncio.to_thread(build_live, config, self.filtering.running)
        before = self.live.config.service
        if config.service.resolver != before.resolver:
            self._resolver = await DnsResolver.from_config(config.service.resolver, tell_lookups(self._bus.emit))
            self.filtering.resolver = self._resolver
        outbound = build_outbound(live, self._resolver, self._ground)
        if config.service.queue != before.queue:
            await self.spool.reconfigure(config.service.queue)
        if live.filters is not None:
            await self.filtering.running.apply(live.filters)
        await self.filtering.subscribers.apply(config.service.reports)
        self._retired = [each for each in self._retired if each.pool.queues()] + [self._outbound]
        self.live, self._outbound = live, outbound
        self.dispatcher.courier = outbound.courier
        await self.acceptor.replace_policy(live.policy)
        self._set_gauges()

    def routes(self) -> list[RouteEntry]:
        """All routes that are known."""
        self._network.routes.sweep()
        pools = (each.pool for each in (*self._retired, self._outbound))
        waiting = sum((pool.waiting() for pool in pools), Counter[tuple[str, str]]())
        return [route_entry(info) for info in describe_routes(self._network, waiting)]

    def hosts(self) -> list[HostEntry]:
        """Addresses of next hops that are known."""
        return host_entries(self._route_infos())

    def enable_routes(self, target: str) -> int:
        """Let routes be used again: ``all``, or those with that id or address; says how many rested."""
        return self._network.routes.enable(target)

    def _route_infos(self) -> list[RouteInfo]:
        """Routes without the mail that waits for them: read from any thread."""
        return describe_routes(self._network, Counter())

    async def drain(self, grace_seconds: float) -> None:
        """Stop in the order of the way: accept nothing, end what is in flight, say goodbye to the volume."""
        deadline = time.monotonic() + grace_seconds
        self.door.close()
        if self._pickup is not None:
            self._pickup.stop()
        await self.acceptor.drain(grace_seconds)
        if self._pickup is not None:
            await self._pickup.close()
        if self._following is not None:
            self._following.cancel()
        await self.dispatcher.drain(max(0.0, deadline - time.monotonic()))
        for each in (*self._retired, self._outbound):
            await each.pool.close(max(0.1, min(5.0, deadline - time.monotonic())))
        if self._running is not None:
            await self._running
        await self.acceptor.close()
        await self.filtering.running.close()
        await self.filtering.subscribers.close()
        await self.spool.close()
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _build_dispatcher(self) -> Dispatcher:
        """Join the outbound stages."""
        notifier = BounceNotifier(
            spool=self.spool,
            expander=lambda: self.live.expander,
            config=self.config,
            emit=self._bus.emit,
            clock=self._clock,
            randbits=secrets.randbits,
            on_accepted=lambda message: self.dispatcher.enqueue(message),
        )
        settler = Settler(
            spool=self.spool, notifier=notifier, config=self.config, emit=self._bus.emit, clock=self._clock
        )
        return Dispatcher(
            spool=self.spool,
            courier=self._outbound.courier,
            settler=settler,
            schedule=Schedule(),
            config=self.config,
            emit=self._bus.emit,
            clock=self._clock,
        )

    async def _lookup_name(self, address: str) -> tuple[str, Literal["pass", "fail", "error"]]:
        """The client's reverse name, for Received and reports."""
        return await forward_confirmed_name(self._resolver, address)

    def _set_gauges(self) -> None:
        """Numbers that follow the configuration."""
        metrics, ends = self._metrics, gauges.certificate_ends(self.live.config)
        gauges.read_queue(metrics, self.dispatcher, self.spool)
        gauges.read_routes(metrics, self._route_infos)
        metrics.read("paquebot_listener_up", lambda: {(name,): 1.0 for name in self.acceptor.addresses()})
        metrics.read("paquebot_smtp_stressed", lambda: float(self.acceptor.stressed))
        metrics.set("paquebot_config_domains", float(len(self.live.config.domains)))
        metrics.read("paquebot_tls_certificate_not_after_timestamp_seconds", lambda: ends)


def _own(volume: Path) -> tuple[str, ...]:
    """What is ours on the queue volume; mailboxes may lie beside it."""
    return tuple(os.path.realpath(volume / name) for name in OWN_FOLDERS)


async def open_plant(config: MtaConfig, options: Options, bus: Bus, metrics: Metrics, bind: Bind) -> Plant:
    """Build everything from the first configuration; nothing accepts or delivers yet.

    Raises:
        ConfigError: the configuration can't be built.
        OSError: the spool can't be opened.
    """
    resolver = await DnsResolver.from_config(config.service.resolver, tell_lookups(bus.emit))
    filtering = await asyncio.to_thread(Filtering, config, options, bus, resolver)
    live = await asyncio.to_thread(build_live, config, filtering.running)
    spool = await open_spool(config.service.queue, options.spool, name=f"worker-{options.worker or 0}", notice=bus.emit)
    gauges.read_volume(metrics, options.spool, os.statvfs)
    gauges.set_build(metrics)
    try:
        return Plant(live, resolver, spool, bus, metrics, filtering, own=_own(options.spool), bind=bind)
    except BaseException:
        await spool.close()
        raise
