"""When statuses of a MailService and its MailDomains are written: what people must know at once, the rest in one go.

A domain that is refused says so at once. One whose pods have yet to take it waits for them, so that most changes cost
one write of its status; pods that take too long are told of. What is said is ``ServiceState``'s matter.
"""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Final

from paquebot_operator.cluster.resources import MAIL_DOMAINS, MAIL_SERVICES
from paquebot_operator.compile.attached import Unit
from paquebot_operator.compile.objects import ObjectKey
from paquebot_operator.control.parts import Parts
from paquebot_operator.control.service_state import ServiceState
from paquebot_operator.control.status_queue import Wish
from paquebot_operator.control.withheld import Withheld

PATIENCE: Final = 2.5
"""Where pods are ready, a status waits so many times as long for them to take a change."""
STATUS_SECONDS: Final = 0.2
REST_SECONDS: Final = 2.0
"""Between two statuses of a service that say the same but for counts and digests."""


class Telling:
    """Statuses of one service."""

    def __init__(self, key: ObjectKey, parts: Parts, state: ServiceState) -> None:
        self._key = key
        self._parts = parts
        self._state = state
        self._withheld = Withheld(self._put_domains)
        self._timer: asyncio.TimerHandle | None = None
        self._rest_until = 0.0
        self._behind_since: float | None = None
        self._waiting_reason = ""
        self._units: Mapping[ObjectKey, Unit] = {}

    def end(self) -> None:
        """The service is gone: what waits is said by others."""
        self._withheld.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def compiled(self) -> None:
        """A pass ended: domains that are not what they were after the last one that did."""
        before, units = self._units, self._state.units
        self._units = units
        changed = {key for key, unit in units.items() if before.get(key) is not unit and before.get(key) != unit}
        self._parts.publication.judged(changed)
        later = {key for key in changed if self._only_waits(key)}
        self._withheld.hold(later, self._patience())
        self._put_domains(changed - later)

    def served(self, keys: Iterable[ObjectKey]) -> None:
        """Pods said something: these domains are programmed now, and others may wait for another reason."""
        self._put_domains(keys)
        reason = self._state.waiting().reason
        if reason != self._waiting_reason:
            self._waiting_reason = reason
            self._withheld.hold(self._state.programming.waiting_keys(), self._patience())

    def published(self, key: ObjectKey) -> None:
        """What is said of a domain's publication changed; what is said soon anyway says that, too."""
        if key not in self._withheld and not self._is_behind(key):
            self._put_domains([key])

    def service(self) -> None:
        """The service's status soon; while pods take a change, when they have it or it takes them too long."""
        loop, is_done = asyncio.get_running_loop(), self._state.rollout.is_done()
        if is_done:
            self._behind_since = None
        elif self._behind_since is None:
            self._behind_since = loop.time()
        at = loop.time() + (STATUS_SECONDS if is_done else self._patience())
        if self._timer is not None:
            if self._timer.when() <= at:
                return
            self._timer.cancel()
        self._timer = loop.call_at(at, self._count_and_tell)

    def _patience(self) -> float:
        return self._parts.settings.grace_seconds * (PATIENCE if self._state.rollout.running() else 1)

    def _only_waits(self, key: ObjectKey) -> bool:
        """Whether all is well with a domain but that pods have yet to take it, and may do so soon."""
        state = self._state
        unit = state.units[key]
        if unit.domain is None or not state.is_written() or state.programming.is_programmed(key):
            return False
        return all(each.status == "True" for each in unit.conditions)

    def _is_behind(self, key: ObjectKey) -> bool:
        """Whether a pass is yet to end for what a domain is now."""
        held, unit = self._parts.store.domains.get(key), self._units.get(key)
        if held is None or held.fault:
            return False
        return unit is None or held.generation != unit.source.metadata.generation

    def _put_domains(self, keys: Iterable[ObjectKey]) -> None:
        for key in keys:
            self._withheld.release([key])
            self._put_domain(key)

    def _put_domain(self, key: ObjectKey) -> None:
        self._parts.statuses.put(MAIL_DOMAINS, key, lambda: self._domain_wish(key))

    def _domain_wish(self, key: ObjectKey) -> Wish | None:
        held = self._parts.store.domains.get(key)
        if held is None:
            return None
        return self._state.domain_wish(key, held.status, held.fault, self._parts.publication.said_of(key))

    def _count_and_tell(self) -> None:
        self._timer = None
        loop, state, parts = asyncio.get_running_loop(), self._state, self._parts
        if parts.store.services.get(self._key) is None:
            return
        total = len(parts.store.domains_of(self._key))
        behind = sum(running != state.wanted for running in state.rollout.running())
        parts.metrics.service(self._key, state.counts(total), behind)
        wish = self._service_wish()
        if wish is not None:
            parts.metrics.conditions(self._key, {said.type: said.status for said in wish.conditions})
        # The timer was set for how it was then: pods may have got a new change since.
        due = self._rest_until if self._behind_since is None else self._behind_since + self._patience()
        if loop.time() < due:
            self._timer = loop.call_at(due, self._count_and_tell)
            return
        self._rest_until = loop.time() + REST_SECONDS
        parts.statuses.put(MAIL_SERVICES, self._key, self._service_wish)

    def _service_wish(self) -> Wish | None:
        held = self._parts.store.services.get(self._key)
        if held is None:
            return None
        return self._state.service_wish(len(self._parts.store.domains_of(self._key)), held.fault)
