"""Servers that leave the rest of an alias chain to the asker."""

import asyncio
from collections.abc import AsyncIterator

import dns.message
import dns.rrset
import pytest

from paquebot_mta.resolver.dns_resolver import DnsResolver
from paquebot_mta.resolver.transport import Server

TTL_SECONDS = {"a.test.": 50, "b.test.": 40, "c.test.": 60, "ring.test.": 60}
RECORDS = {
    "a.test.": ("CNAME", "b.test."),
    "b.test.": ("CNAME", "c.test."),
    "c.test.": ("A", "192.0.2.3"),
    "ring.test.": ("CNAME", "ring.test."),
}


class OneStep(asyncio.DatagramProtocol):
    """Answers with the one record of the name, without following it."""

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        """Keep the way back."""
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Answer."""
        query = dns.message.from_wire(data)
        name = query.question[0].name.to_text()
        response = dns.message.make_response(query)
        response.answer.append(dns.rrset.from_text(name, TTL_SECONDS[name], "IN", *RECORDS[name]))
        self.transport.sendto(response.to_wire(), addr)


@pytest.fixture
async def one_step() -> AsyncIterator[DnsResolver]:
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(OneStep, local_addr=("127.0.0.1", 0))
    address, port = transport.get_extra_info("sockname")
    yield DnsResolver((Server(address, port),), on_exchange=lambda _: None)
    transport.close()


async def test_a_chain_is_followed_and_kept_for_its_shortest_time(one_step: DnsResolver) -> None:
    answer = await one_step.ask("a.test", "A")
    assert (answer.status, answer.records, answer.ttl_seconds) == ("ok", ("192.0.2.3",), 40)


async def test_a_ring_of_single_steps_ends(one_step: DnsResolver) -> None:
    assert (await one_step.ask("ring.test", "A")).status == "error"
