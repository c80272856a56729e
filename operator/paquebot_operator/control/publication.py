"""What domains publish in DNS, looked after one by one: records told, looked up now and then, DKIM keys kept.

It comes after everything else: while statuses wait to be written, nobody is asked. A MailDomain whose name is
another's, or that its MailService does not allow, publishes nothing: no key is made for it; keys that it has are kept.
"""

import asyncio
import heapq
import logging
import random
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import msgspec

from paquebot_operator.api.core import Secret
from paquebot_operator.api.maildomain import MailDomain
from paquebot_operator.api.mailservice import MailService
from paquebot_operator.api.status import DnsRecord
from paquebot_operator.cluster.api import Api
from paquebot_operator.cluster.errors import AbsentError, ClusterError
from paquebot_operator.cluster.resources import SECRETS, Place
from paquebot_operator.compile.objects import ObjectKey, service_of
from paquebot_operator.control.clocks import Clock
from paquebot_operator.control.conditions import Said
from paquebot_operator.control.references import References
from paquebot_operator.control.service_state import Extra
from paquebot_operator.control.store import Store
from paquebot_operator.publish.conditions import dns_condition, not_checked, record_statuses
from paquebot_operator.publish.mta_sts import mta_sts_policy
from paquebot_operator.publish.publication import Publication, publication, secret_name
from paquebot_operator.publish.questions import Asks
from paquebot_operator.publish.records import dns_records
from paquebot_operator.publish.resolver import open_asker
from paquebot_operator.publish.states import RecordState

AT_ONCE: Final = 8
MAX_DOMAINS_PER_SECOND: Final = 20
RETRY_SECONDS: Final = 15.0
BUSY_SECONDS: Final = 0.5
_TYPES: Final = ("DNSReady", "DKIMReady")
_log = logging.getLogger("paquebot.operator")
Open = Callable[[tuple[str, ...]], Awaitable[Asks]]
Standing = Literal["Own", "Refused", "Unknown"]
"""Whether a MailDomain's name is its own to use, as its MailService's last pass said; Unknown before the first."""


@dataclass
class Surroundings:
    """What a publisher does it with.

    Attributes:
        tell: hears of each domain of which there is something new to say.
        is_busy: whether there is something more urgent.
        standing: of a domain, as it is now.
        open: makes the way to DNS servers; no servers means the machine's own.
    """

    api: Api
    store: Store
    references: References
    clock: Clock
    tell: Callable[[ObjectKey], None]
    is_busy: Callable[[], bool]
    standing: Callable[[ObjectKey], Standing]
    open: Open = open_asker
    jitter: Callable[[], float] = field(default=random.random)


class Publisher:
    """Looks after the publication of all domains."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._found: dict[ObjectKey, Publication] = {}
        self._due: list[tuple[float, ObjectKey]] = []
        self._next: dict[ObjectKey, float] = {}
        self._to_be_judged: set[ObjectKey] = set()
        self._asks: dict[tuple[str, ...], Asks | None] = {}
        self._wake = asyncio.Event()

    def changed(self, domain: ObjectKey) -> None:
        """A domain came or means something else, or went."""
        if self._around.store.domains.get(domain) is None:
            self._found.pop(domain, None)
            self._next.pop(domain, None)
            self._to_be_judged.discard(domain)
            self._around.references.forget(("dkim", domain))
        else:
            self._await_judgement(domain)

    def judged(self, domains: Iterable[ObjectKey]) -> None:
        """A pass ended that found these domains other than the one before."""
        for key in domains:
            if key in self._to_be_judged or (key in self._found and self._around.standing(key) == "Refused"):
                self._to_be_judged.discard(key)
                self._plan(key, 0.0)

    def changed_near(self, namespace: str) -> None:
        """A Secret of a namespace changed: keys may have."""
        for key in [each for each in self._next if each.namespace == namespace]:
            held = self._around.store.domains.get(key)
            if held is not None and held.item is not None and held.item.spec.dkim.mode != "Disabled":
                self._plan(key, 0.0)

    def changed_service(self, service: ObjectKey) -> None:
        """A MailService changed: its name stands in MX records."""
        for key in self._around.store.domains_of(service):
            self._plan(key, 0.0)

    def begin(self) -> None:
        """Plan all domains: those that were looked after before the operator started may wait their turn."""
        for held in self._around.store.domains:
            if _status(held.status).get("dnsRecords"):
                self._plan(held.key, self._around.jitter() * self._interval(held.item))
            else:
                self._await_judgement(held.key)

    def said_of(self, domain: ObjectKey) -> Extra:
        """What a domain's status says of it; before the first look what it said already."""
        if self._around.standing(domain) == "Refused":
            return Extra()
        found = self._found.get(domain)
        if found is None:
            before = self._before(domain)
            return before if before.dns_records else self._untold(domain) or before
        conditions = tuple(Said(each.type, each.status, each.reason, each.message) for each in found.conditions)
        return Extra(conditions, _spelled(found.dns_records), found.mta_sts_policy)

    def _untold(self, domain: ObjectKey) -> Extra | None:
        """What can be said of a domain without asking anybody; None if there are keys to be read first."""
        held = self._around.store.domains.get(domain)
        if held is None or held.item is None or held.item.spec.dkim.mode != "Disabled":
            return None
        service = self._around.store.services.get(service_of(held.item))
        if service is None or service.item is None:
            return None
        states = not_checked(dns_records(held.item, service.item, ()))
        records = _spelled(record_statuses(states))
        condition = dns_condition(states)
        said = Said(condition.type, condition.status, condition.reason, condition.message)
        return Extra((said,), records, mta_sts_policy(held.item, service.item) or "")

    async def keep_up(self) -> None:
        """Go on for ever."""
        running: set[asyncio.Task[None]] = set()
        while True:
            key = await self._turn()
            if len(running) >= AT_ONCE:
                _, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            running.add(asyncio.create_task(self._look(key)))
            await self._around.clock.sleep(1 / MAX_DOMAINS_PER_SECOND)

    async def _turn(self) -> ObjectKey:
        """Wait for the next domain whose time it is."""
        while True:
            now = self._around.clock.monotonic()
            while self._due and self._next.get(self._due[0][1]) != self._due[0][0]:
                heapq.heappop(self._due)
            if self._due and self._due[0][0] <= now:
                if not self._around.is_busy():
                    return heapq.heappop(self._due)[1]
                await self._around.clock.sleep(BUSY_SECONDS)
                continue
            self._wake.clear()
            try:
                async with asyncio.timeout(min(self._due[0][0] - now, 60.0) if self._due else 60.0):
                    await self._wake.wait()
            except TimeoutError:
                pass

    async def _look(self, key: ObjectKey) -> None:
        held, planned = self._around.store.domains.get(key), self._next.get(key)
        wait = RETRY_SECONDS
        try:
            if held is not None and held.item is not None:
                wait = await self._look_at(key, held.item)
        except ClusterError as error:
            _log.warning("publication of MailDomain %s: %s", key, error)
        except Exception:
            # One domain's fault must not be the end of the others' checks.
            _log.exception("publication of MailDomain %s: a fault of the operator", key)
        # What came meanwhile was planned anew, and must not be put off by this look's end.
        if self._around.store.domains.get(key) is not None and self._next.get(key) == planned:
            self._plan(key, wait)

    async def _look_at(self, key: ObjectKey, domain: MailDomain) -> float:
        """Look after a domain whose name is its own; in how many seconds to look again."""
        standing, service = self._around.standing(key), self._around.store.services.get(service_of(domain))
        if standing == "Own":
            await self._publish(key, domain)
        else:
            self._to_be_judged.add(key)
        if standing == "Refused":
            self._found.pop(key, None)
        if standing == "Unknown" and service is not None:
            return RETRY_SECONDS
        return self._interval(domain) * (0.9 + self._around.jitter() / 5)

    async def _publish(self, key: ObjectKey, domain: MailDomain) -> None:
        held = self._around.store.services.get(service_of(domain))
        if held is None or held.item is None:
            return
        said, before = self.said_of(key), self._found.get(key)
        self._found[key] = await self._made(key, domain, held.item, before.states if before is not None else ())
        if self.said_of(key) != said:
            self._around.tell(key)

    async def _made(
        self, key: ObjectKey, domain: MailDomain, service: MailService, before: tuple[RecordState, ...]
    ) -> Publication:
        check = service.spec.dns_check
        asks = await self._asks_for(check.servers) if check.mode == "Enabled" else None
        now = self._around.clock.now()
        secret = await self._secret(key, domain)
        found = await publication(domain, service, secret, asks=asks, now=now, before=before)
        if found.secret is not None:
            await self._around.api.apply(found.secret)
        return found

    async def _secret(self, key: ObjectKey, domain: MailDomain) -> Secret | None:
        """The domain's Secret as it is now: keys made over an older one would be lost."""
        name = secret_name(domain)
        if name is None:
            self._around.references.forget(("dkim", key))
            return None
        place = Place(key.namespace, name)
        await self._around.references.want(("dkim", key), [("Secret", ObjectKey(*place))])
        try:
            raw = await self._around.api.get(SECRETS, place)
        except AbsentError:
            return None
        return msgspec.convert(raw, Secret)

    async def _asks_for(self, servers: tuple[str, ...]) -> Asks | None:
        if servers not in self._asks:
            try:
                self._asks[servers] = await self._around.open(servers)
            except ValueError as error:
                _log.warning("DNS servers %s: %s", ", ".join(servers), error)
                self._asks[servers] = None
        return self._asks[servers]

    def _interval(self, domain: MailDomain | None) -> float:
        held = self._around.store.services.get(service_of(domain)) if domain is not None else None
        return float(held.item.spec.dns_check.interval_seconds) if held is not None and held.item is not None else 300.0

    def _plan(self, key: ObjectKey, wait_seconds: float) -> None:
        due = self._around.clock.monotonic() + wait_seconds
        self._next[key] = due
        heapq.heappush(self._due, (due, key))
        self._wake.set()

    def _await_judgement(self, key: ObjectKey) -> None:
        """Look at a domain once a pass has ended for what it is now; after a while if none does."""
        self._to_be_judged.add(key)
        self._plan(key, RETRY_SECONDS)

    def _before(self, domain: ObjectKey) -> Extra:
        held = self._around.store.domains.get(domain)
        if held is None:
            return Extra()
        status = _status(held.status)
        said = tuple(
            Said(each["type"], each.get("status", "Unknown"), each.get("reason", ""), each.get("message", ""))
            for each in status.get("conditions", ())
            if each.get("type") in _TYPES
        )
        return Extra(said, tuple(status.get("dnsRecords", ())), status.get("mtaStsPolicy", ""))


def _spelled(records: tuple[DnsRecord, ...]) -> tuple[dict[str, Any], ...]:
    """As the API server gives them back: it fills in the default of ``present``."""
    return tuple({"present": record.present, **msgspec.to_builtins(record)} for record in records)


def _status(held: bytes) -> dict[str, Any]:
    return msgspec.json.decode(held, type=dict[str, Any])
