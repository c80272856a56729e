"""The resolver against a real server on loopback."""

import asyncio
import time

import pytest
from dns.message import QueryMessage

from paquebot_mta.config.service import Resolver as ResolverConfig
from paquebot_mta.resolver.dns_resolver import QUESTIONS_AT_ONCE, DnsResolver, Exchange, OnExchange
from paquebot_mta.resolver.questions import Answer, RdType, Status
from paquebot_mta.resolver.transport import Server
from tests.support.dns_server import DnsServer, Fault

MANY = [f"192.0.2.{number}" for number in range(1, 250)]
ZONES = {
    "example.test": {
        "MX": ["20 MX2.example.test.", "10 mx1.example.test."],
        "TXT": ['"v=spf1 " "-all"'],
        "A": ["192.0.2.1"],
    },
    "null.test": {"MX": ["0 ."]},
    "mx1.example.test": {"A": ["192.0.2.10"], "AAAA": ["2001:DB8::10"]},
    "alias.test": {"CNAME": ["alias2.test."]},
    "alias2.test": {"CNAME": ["mx1.example.test."]},
    "loop.test": {"CNAME": ["loop2.test."]},
    "loop2.test": {"CNAME": ["loop.test."]},
    "many.test": {"A": MANY},
    "10.2.0.192.in-addr.arpa": {"PTR": ["Mail.Example.test."]},
    **{f"c{number}.test": {"CNAME": [f"c{number + 1}.test."]} for number in range(9)},
    "c9.test": {"A": ["192.0.2.9"]},
}


def resolver(*servers: DnsServer, on_exchange: OnExchange = lambda _: None, seconds: float = 2.0) -> DnsResolver:
    """Make a resolver that asks those servers."""
    return DnsResolver(
        tuple(Server(*each.address) for each in servers), on_exchange=on_exchange, timeout_seconds=seconds
    )


@pytest.mark.parametrize(
    ("name", "rdtype", "records"),
    [
        ("example.test", "A", ("192.0.2.1",)),
        ("EXAMPLE.test.", "A", ("192.0.2.1",)),
        ("mx1.example.test", "AAAA", ("2001:db8::10",)),
        ("example.test", "TXT", ("v=spf1 -all",)),
        ("10.2.0.192.in-addr.arpa", "PTR", ("mail.example.test",)),
        ("alias.test", "A", ("192.0.2.10",)),
        ("alias.test", "CNAME", ("alias2.test",)),
    ],
)
async def test_records_are_read(name: str, rdtype: RdType, records: tuple[str, ...]) -> None:
    async with DnsServer(ZONES) as server:
        answer = await resolver(server).ask(name, rdtype)
    assert answer == Answer("ok", records, (), 300, authenticated=False)


async def test_mx_records_have_preferences_and_the_root_is_empty() -> None:
    async with DnsServer(ZONES) as server:
        asked = resolver(server)
        assert set((await asked.ask("example.test", "MX")).mx) == {(20, "mx2.example.test"), (10, "mx1.example.test")}
        assert (await asked.ask("null.test", "MX")).mx == ((0, ""),)


async def test_no_name_and_no_data_differ_and_are_kept_for_the_time_of_the_soa() -> None:
    async with DnsServer(ZONES) as server:
        asked = resolver(server)
        for _ in range(2):
            assert await asked.ask("gone.invalid", "A") == Answer("nxdomain", ttl_seconds=60)
            assert await asked.ask("example.test", "AAAA") == Answer("nodata", ttl_seconds=60)
        assert sum(server.queries.values()) == 2


async def test_equal_questions_at_the_same_time_are_asked_once() -> None:
    async with DnsServer(ZONES) as server:
        server.delays_seconds["example.test"] = 0.02
        asked = resolver(server)
        first = asyncio.ensure_future(asked.ask("example.test", "A"))
        await asyncio.sleep(0)
        first_gone = asyncio.ensure_future(asked.ask("example.test", "A"))
        await asyncio.sleep(0)
        first_gone.cancel()
        answers = await asyncio.gather(first, *(asked.ask("example.test", "A") for _ in range(50)))
        assert {answer.status for answer in answers} == {"ok"}
        assert server.queries["example.test", "A"] == 1


async def test_what_does_not_fit_a_datagram_comes_over_tcp() -> None:
    async with DnsServer(ZONES, faults={"example.test": Fault.TRUNCATED}) as server:
        asked = resolver(server)
        assert (await asked.ask("example.test", "A")).records == ("192.0.2.1",)
        assert set((await asked.ask("many.test", "A")).records) == set(MANY)
        assert server.tcp_queries == 2


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (Fault.SERVFAIL, "servfail"),
        (Fault.REFUSED, "servfail"),
        (Fault.LAME, "servfail"),
        (Fault.TIMEOUT, "timeout"),
        (Fault.WRONG_ID, "timeout"),
        (Fault.WRONG_QUESTION, "timeout"),
        (Fault.GARBAGE, "timeout"),
        (Fault.TCP_REFUSED, "error"),
    ],
)
async def test_faults_are_statuses_within_the_deadline(fault: Fault, status: str) -> None:
    async with DnsServer(ZONES, faults={"example.test": fault}) as server:
        started = time.monotonic()
        answer = await resolver(server, seconds=0.1).ask("example.test", "A")
        assert answer == Answer(status)  # type: ignore[arg-type]
        assert time.monotonic() - started < 1.0
        server.faults.clear()
        assert (await resolver(server).ask("example.test", "A")).status == "ok"


@pytest.mark.parametrize("fault", [Fault.SERVFAIL, Fault.TIMEOUT, Fault.WRONG_ID, Fault.LAME, Fault.TCP_REFUSED])
async def test_the_next_server_is_asked_if_one_fails(fault: Fault) -> None:
    async with DnsServer(ZONES, faults={"example.test": fault}) as bad, DnsServer(ZONES) as good:
        assert (await resolver(bad, good, seconds=0.4).ask("example.test", "A")).status == "ok"


async def test_a_server_that_is_not_there_is_an_error() -> None:
    async with DnsServer(ZONES) as server:
        address = Server(*server.address)
    gone = DnsResolver((address,), on_exchange=lambda _: None, timeout_seconds=0.3)
    assert (await gone.ask("example.test", "A")).status == "error"


async def test_a_fault_is_not_kept() -> None:
    async with DnsServer(ZONES, faults={"example.test": Fault.SERVFAIL}) as server:
        asked = resolver(server)
        assert (await asked.ask("example.test", "A")).status == "servfail"
        server.faults.clear()
        assert (await asked.ask("example.test", "A")).status == "ok"


async def test_a_loop_of_aliases_is_an_error_and_so_is_a_long_chain() -> None:
    async with DnsServer(ZONES) as server:
        asked = resolver(server)
        assert (await asked.ask("loop.test", "A")).status == "error"
        assert (await asked.ask("c0.test", "A")).status == "error"
        assert (await asked.ask("c1.test", "A")).records == ("192.0.2.9",)


@pytest.mark.parametrize("name", ["a..test", "x" * 64 + ".test", ".".join(["abcdefgh"] * 40), "\udc80.test"])
async def test_what_is_no_name_is_never_asked(name: str) -> None:
    async with DnsServer(ZONES) as server:
        assert (await resolver(server).ask(name, "A")).status == "error"
        assert not server.queries


@pytest.mark.parametrize("authentic", [True, False])
async def test_validation_is_believed_from_this_machine(authentic: bool) -> None:
    async with DnsServer(ZONES, is_authentic=authentic) as server:
        assert (await resolver(server).ask("example.test", "A")).authenticated is authentic


async def test_each_exchange_is_told_and_cached_answers_are_not() -> None:
    told: list[Exchange] = []
    async with DnsServer(ZONES) as server:
        asked = resolver(server, on_exchange=told.append)
        for name in ("example.test", "example.test", "gone.invalid"):
            await asked.ask(name, "A")
    assert [(exchange.rdtype, exchange.status) for exchange in told] == [("A", "ok"), ("A", "nxdomain")]


async def test_ports_and_ids_are_not_foreseeable() -> None:
    ids: list[int] = []

    def randbits(bits: int) -> int:
        ids.append(bits)
        return 4_242

    async with DnsServer(ZONES) as server:
        asked = DnsResolver((Server(*server.address),), on_exchange=lambda _: None, randbits=randbits)
        await asyncio.gather(*(asked.ask(f"n{number}.example.test", "A") for number in range(20)))
    assert ids == [16] * 20


async def test_settings_name_the_server() -> None:
    async with DnsServer(ZONES) as server:
        config = ResolverConfig(servers=(f"127.0.0.1:{server.port}",))
        asked = await DnsResolver.from_config(config, lambda _: None)
        assert (await asked.ask("example.test", "A")).status == "ok"


async def test_a_service_s_short_name_gets_the_cluster_s_domain_and_no_other_name_does() -> None:
    zones = {
        "dovecot.mail.svc.cluster.test": {"A": ["192.0.2.5"]},
        "mail.example.test.cluster.test": {"A": ["192.0.2.6"]},
    }
    async with DnsServer(zones) as server:
        asked = DnsResolver((Server(*server.address),), on_exchange=lambda _: None, cluster_domain="cluster.test")
        assert (await asked.ask("Dovecot.mail.svc.", "A")).records == ("192.0.2.5",)
        assert (await asked.ask("dovecot.mail.svc.cluster.test", "A")).records == ("192.0.2.5",)
        assert (await asked.ask("mail.example.test", "A")).status == "nxdomain"
        assert (await resolver(server).ask("dovecot.mail.svc", "A")).status == "nxdomain"


async def test_a_burst_of_questions_does_not_run_into_the_deadline() -> None:
    """All at once they would overflow the server's socket, and their time would run while they wait for each other."""
    zones = {f"name{number}.test": {"A": ["192.0.2.1"]} for number in range(600)}
    most = 0
    async with DnsServer(zones) as server:
        asking = resolver(server)
        exchange = asking._transport.exchange
        now = 0

        async def counted(name: str, rdtype: str) -> QueryMessage | Status:
            nonlocal now, most
            now += 1
            most = max(most, now)
            try:
                return await exchange(name, rdtype)
            finally:
                now -= 1

        asking._transport.exchange = counted  # type: ignore[method-assign]
        answers = await asyncio.gather(*(asking.ask(name, "A") for name in zones))
    assert {answer.status for answer in answers} == {"ok"}
    assert most <= QUESTIONS_AT_ONCE
