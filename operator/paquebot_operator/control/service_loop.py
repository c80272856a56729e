"""One MailService, for as long as it is there: compile, write, follow its pods, say how it is."""

import asyncio
import logging
from typing import Final

from paquebot_operator.cluster.errors import ClusterError
from paquebot_operator.cluster.resources import (
    POD_MONITORS,
    PROMETHEUS_RULES,
    Place,
)
from paquebot_operator.compile.attached import Memory
from paquebot_operator.compile.last_good import LastGood
from paquebot_operator.compile.objects import ObjectKey, Objects
from paquebot_operator.compile.service import Compiled, compile_service
from paquebot_operator.control.backoff import Backoff
from paquebot_operator.control.conditions import Said
from paquebot_operator.control.config_writer import write_config
from paquebot_operator.control.debounce import Debounce
from paquebot_operator.control.live import config_of, last_good_of, read_live
from paquebot_operator.control.parts import Parts
from paquebot_operator.control.patrol import Patrol
from paquebot_operator.control.programming import Programming
from paquebot_operator.control.rollout import Rollout
from paquebot_operator.control.service_state import ServiceState
from paquebot_operator.control.statuses import domain_status
from paquebot_operator.control.telling import Telling
from paquebot_operator.desired import Context, desired_objects, egress_of, programs_of
from paquebot_operator.desired.names import config_secret_names, service_label

TROUBLE_SECONDS: Final = 15.0
"""What is in the way is looked for that often at most, and every minute at least."""
BULK_SECRETS: Final = 16
BULK_REST: Final = 2.0
MAX_REST_SECONDS: Final = 5.0
"""After a pass that wrote more Secrets than that: how many times as long it rests as it took, and at most."""
_log = logging.getLogger("paquebot.operator")


class ServiceLoop:
    """The loop of one MailService."""

    def __init__(self, key: ObjectKey, parts: Parts) -> None:
        self._key = key
        self._parts = parts
        self._changes = Debounce(now=parts.clock.monotonic)
        self._backoff: Backoff[str] = Backoff()
        self._last_writes = 0
        self._changed_at: float | None = None
        self._reread_for = ""
        self.state = ServiceState(key, Rollout(parts.api, parts.asks, parts.clock, self._pods_told))
        self.telling = Telling(key, parts, self.state)
        self._patrol = Patrol(
            parts.api,
            parts.clock,
            [Place(key.namespace, name) for name in config_secret_names(key.name)],
            live=lambda: self.state.live,
            changed=self._look_at_live,
            among=lambda: len(parts.store.services),
        )

    @property
    def oldest_seconds(self) -> float:
        """Age of the oldest change that waits."""
        return self._changes.age_seconds

    def mark(self) -> None:
        """Something that the service depends on changed."""
        self._changes.mark()

    def mark_pods(self) -> None:
        """Pods came, went or became ready."""
        self.state.rollout.pods(self._parts.store.pods_of(self._key))
        self._pods_told()

    def renew(self) -> None:
        """Believe nothing that is remembered: certificates expire, and people edit Secrets."""
        self.state.memory = Memory()
        self.state.live = None
        self.mark()

    async def run(self) -> None:
        """Go on for ever."""
        self.state.rollout.pods(self._parts.store.pods_of(self._key))
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self.state.rollout.keep_up())
                group.create_task(self._passes())
                group.create_task(self._patrol.keep_up())
        finally:
            self.telling.end()

    async def _passes(self) -> None:
        while True:
            since = await self._changes.settled()
            started = self._parts.clock.monotonic()
            try:
                result = await self.reconcile(since)
                self._backoff.forget("")
            except ClusterError as error:
                result = "failed"
                _log.warning("MailService %s: %s", self._key, error)
                await self._retry_later()
            except Exception:
                # One service's fault must not be the end of the others'.
                result = "failed"
                self._parts.metrics.crashes.inc()
                _log.exception("MailService %s: a fault of the operator", self._key)
                await self._retry_later()
            took = self._parts.clock.monotonic() - started
            self._parts.metrics.passed(result, took)
            if self._last_writes > BULK_SECRETS:
                # Many objects change at once: to write all shards for each few of them would cost more than it gives.
                await self._parts.clock.sleep(min(BULK_REST * took, MAX_REST_SECONDS))

    async def _retry_later(self) -> None:
        clock = self._parts.clock
        wait = self._backoff.failed("", clock.monotonic())
        self.mark()
        await clock.sleep(wait)

    async def reconcile(self, since: float) -> str:
        """One pass over what changed ``since``; says what came of it, as metrics count it. Raises ClusterError."""
        state, parts = self.state, self._parts
        held = parts.store.services.get(self._key)
        if held is None or held.item is None:
            return "absent"
        if state.live is None:
            await self._read_live()
        compiled = await self._compile()
        state.compiled, state.service, state.units = compiled, held.item, state.memory.units
        state.troubles = tuple(await self._bring_objects(compiled))
        writes = self._last_writes = await self._write_config(compiled, since)
        self.telling.compiled()
        self.telling.service()
        self._try_troubles_again()
        if state.is_refused():
            return "refused"
        return "written" if writes else "unchanged"

    async def _read_live(self) -> None:
        state = self.state
        state.live = await read_live(self._parts.api, self._key)
        if state.last is not None:
            return
        statuses = {key: domain_status(self._parts.store, key) for key in self._parts.store.domains_of(self._key)}
        state.programming = Programming({key: each.programmed_revision for key, each in statuses.items()})
        config = config_of(state.live.files)
        if config is None:
            return
        domains = self._parts.store.domains_of(self._key)
        revisions = {key: (domains[key].spec.domain, each.programmed_revision) for key, each in statuses.items()}
        state.last = last_good_of(config, revisions)

    async def _compile(self) -> Compiled:
        """Compile, once more for each Secret that it asked for and nobody had read yet."""
        while True:
            objects = self._parts.store.objects_for(self._key)
            compiled = await asyncio.to_thread(self._compiled, objects)
            if not await self._parts.references.want(self._key, compiled.sought):
                return compiled

    def _compiled(self, objects: Objects) -> Compiled:
        state, now = self.state, self._parts.clock.now()
        return compile_service(objects, self._key, now=now, last=state.last, memory=state.memory)

    async def _bring_objects(self, compiled: Compiled) -> list[Said]:
        """Apply what the service wants beside its configuration; what the API server refused."""
        state, settings, serves = self.state, self._parts.settings, self._parts.serves
        config = compiled.config or (state.last.config if state.last is not None else None)
        if state.service is None or config is None:
            return []
        owners = compiled.owners if compiled.config is not None or state.last is None else state.last.owners
        context = Context(
            image=settings.image,
            operator_namespace=settings.namespace,
            egress=await asyncio.to_thread(egress_of, config, owners),
            programs=programs_of(config, self._parts.store.filters.items()),
            has_pod_monitors=serves(POD_MONITORS.plural),
            has_prometheus_rules=serves(PROMETHEUS_RULES.plural),
            runbooks=settings.runbooks,
        )
        manifests = desired_objects(state.service, context)
        namespace, label = self._key.namespace, service_label(self._key.name)
        troubles = await self._parts.owned.bring(namespace, label, manifests)
        return [Said("Programmed", "False", each.reason, each.message) for each in troubles]

    async def _write_config(self, compiled: Compiled, since: float) -> int:
        """Write the Secrets that are not as they should be; how many. Raises ClusterError."""
        state = self.state
        if compiled.config is None or state.service is None or state.live is None:
            return 0
        written = await write_config(self._parts.api, state.live, state.service, compiled.files)
        if written.trouble is not None:
            state.troubles = (written.trouble, *state.troubles)
            return 0
        state.last = LastGood(compiled.config, compiled.owners)
        self._want(compiled.config.digest, compiled, since if written.count else None)
        size = sum(len(content) for content in compiled.files.values())
        self._parts.metrics.config(self._key, size, written.count)
        return written.count

    def _try_troubles_again(self) -> None:
        """What somebody else has in the way may be gone later, and nobody tells of it."""
        clock = self._parts.clock
        if not self.state.troubles:
            self._backoff.forget("troubles")
        elif self._backoff.is_due("troubles", clock.monotonic()):
            wait = self._backoff.failed("troubles", clock.monotonic(), at_least=TROUBLE_SECONDS)
            asyncio.get_running_loop().call_later(wait + 0.1, self._look_at_live)

    def _look_at_live(self) -> None:
        """Somebody may have changed config Secrets."""
        self.state.live = None
        self.mark()

    def _want(self, wanted: str, compiled: Compiled, since: float | None) -> None:
        """Pods should run this; ``since`` is when the change was seen, None if it is in the cluster already."""
        state = self.state
        if wanted != state.wanted:
            state.wanted = wanted
            self._changed_at = since if self._changed_at is None else self._changed_at
        # Equal bytes may be another MailDomain's: one was renamed, or the heir of a claim says the same.
        state.programming.want(wanted, compiled.entries)
        state.rollout.want(wanted, is_new=since is not None)
        state.programming.serve(state.rollout.running())

    def _pods_told(self) -> None:
        state = self.state
        self.telling.served(state.programming.serve(state.rollout.running()))
        if state.rollout.is_done() and self._changed_at is not None:
            self._parts.metrics.programmed(self._parts.clock.monotonic() - self._changed_at)
            self._changed_at = None
        refused = any(follow.said.rejected_digest in (state.wanted, "-") for follow in state.rollout.follows)
        if refused and state.wanted and self._reread_for != state.wanted:
            # A Secret may have been deleted or edited: look at what pods see, once.
            self._reread_for = state.wanted
            self._look_at_live()
        self.telling.service()
