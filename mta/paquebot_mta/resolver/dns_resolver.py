"""The resolver that asks real servers (implements ``Resolver``): cache, single flight, CNAMEs followed."""

import asyncio
import secrets
import time
from collections.abc import Callable
from ipaddress import ip_address
from typing import Self

import dns.message
from msgspec import Struct
from msgspec.structs import replace

from paquebot_mta.config.service import Resolver as ResolverConfig
from paquebot_mta.mail.ids import RandomBits
from paquebot_mta.resolver.cache import AnswerCache
from paquebot_mta.resolver.questions import Answer, RdType, Status
from paquebot_mta.resolver.servers import find_cluster_domain, find_servers
from paquebot_mta.resolver.transport import Server, Transport
from paquebot_mta.resolver.wire import ERROR, MAX_CHAIN, NameLeads, read_answer


class Exchange(Struct, frozen=True):
    """What one exchange with the servers brought: for metrics."""

    rdtype: RdType
    status: Status
    duration_seconds: float


OnExchange = Callable[[Exchange], None]
QUESTIONS_AT_ONCE = 100
"""A burst of a thousand would overflow the server's socket, and its time would run out before it is answered."""


class DnsResolver:
    """Answers from the cache or from the servers; equal questions at the same time are asked once.

    Names are absolute: no search list. Only ``NAME.NAMESPACE.svc`` gets the cluster's domain, as people write names of
    Services so, and no public name ends in ``svc``. The AD bit is believed only if all servers are on this machine.

    Args:
        servers, timeout_seconds: where to ask, and how long for one question.
        cache_entries: bound of the cache.
        cluster_domain: what Services' names lack; empty outside of a cluster.
        on_exchange: is told of each exchange with the servers.
        randbits: must be unpredictable.
        monotonic: seconds that never go back.
    """

    def __init__(
        self,
        servers: tuple[Server, ...],
        *,
        on_exchange: OnExchange,
        timeout_seconds: float = 5.0,
        cache_entries: int = 10_000,
        cluster_domain: str = "",
        randbits: RandomBits = secrets.randbits,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._transport = Transport(servers, timeout_seconds, randbits)
        self._trusted = all(ip_address(server.address).is_loopback for server in servers)
        self._cache = AnswerCache(cache_entries, monotonic)
        self._cluster_domain = cluster_domain
        self._asking: dict[tuple[str, RdType], asyncio.Task[Answer]] = {}
        self._slots = asyncio.Semaphore(QUESTIONS_AT_ONCE)
        self._on_exchange = on_exchange
        self._monotonic = monotonic

    @classmethod
    async def from_config(cls, config: ResolverConfig, on_exchange: OnExchange) -> Self:
        """Make a resolver from settings; without servers it uses the machine's.

        Raises:
            ValueError: a server is not an address.
        """
        servers = await find_servers(config.servers)
        return cls(
            servers,
            on_exchange=on_exchange,
            timeout_seconds=config.timeout_seconds,
            cache_entries=config.cache_entries,
            cluster_domain=await find_cluster_domain(),
        )

    async def ask(self, name: str, rdtype: RdType) -> Answer:
        """Ask for one name and type."""
        question = (self._absolute(name.lower().removesuffix(".")), rdtype)
        if (kept := self._cache.get(question)) is not None:
            return kept
        task = self._asking.get(question)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._ask_and_keep(*question))
            self._asking[question] = task
            task.add_done_callback(lambda _: self._asking.pop(question, None))
        # One asker that goes away must not take the answer from the others.
        return await asyncio.shield(task)

    def _absolute(self, name: str) -> str:
        return f"{name}.{self._cluster_domain}" if self._cluster_domain and name.endswith(".svc") else name

    async def _ask_and_keep(self, name: str, rdtype: RdType) -> Answer:
        answer = await self._follow(name, rdtype)
        self._cache.put((name, rdtype), answer)
        return answer

    async def _follow(self, name: str, rdtype: RdType) -> Answer:
        """Ask, and ask again where a server leaves an alias to us; loops end at the limit."""
        followed, ttl_seconds = 0, None
        while followed <= MAX_CHAIN:
            found = await self._exchange(name, rdtype)
            if isinstance(found, Answer):
                return found if ttl_seconds is None else replace(found, ttl_seconds=min(found.ttl_seconds, ttl_seconds))
            name, followed = found.target, followed + found.cnames
            ttl_seconds = found.ttl_seconds if ttl_seconds is None else min(ttl_seconds, found.ttl_seconds)
        return ERROR

    async def _exchange(self, name: str, rdtype: RdType) -> Answer | NameLeads:
        async with self._slots:  # the question's time runs from here
            start = self._monotonic()
            try:
                response = await self._transport.exchange(name, rdtype)
            except ValueError:
                return ERROR
        if isinstance(response, dns.message.QueryMessage):
            found = read_answer(response, trusted=self._trusted)
        else:
            found = Answer(response)
        status: Status = found.status if isinstance(found, Answer) else "ok"
        self._on_exchange(Exchange(rdtype, status, self._monotonic() - start))
        return found
