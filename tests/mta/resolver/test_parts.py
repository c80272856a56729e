"""The resolver's parts: cache, checks of a response, server addresses, the memory resolver, reverse names."""

from pathlib import Path

import dns.flags
import dns.message
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paquebot_mta.resolver.cache import AnswerCache
from paquebot_mta.resolver.memory import MemoryResolver
from paquebot_mta.resolver.questions import Answer, RdType
from paquebot_mta.resolver.reverse import forward_confirmed_name
from paquebot_mta.resolver.servers import find_cluster_domain, find_servers, parse_server
from paquebot_mta.resolver.transport import Server
from paquebot_mta.resolver.wire import NameLeads, make_query, parse_response, read_answer


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_an_answer_is_kept_for_its_time_only() -> None:
    clock = Clock()
    cache = AnswerCache(10, clock)
    cache.put("q", Answer("ok", ("192.0.2.1",), ttl_seconds=30))
    clock.now = 29.9
    assert cache.get("q") is not None
    clock.now = 30.0
    assert cache.get("q") is None
    assert len(cache) == 0


def test_an_answer_without_a_time_is_not_kept() -> None:
    cache = AnswerCache(10, Clock())
    cache.put("q", Answer("ok", ("192.0.2.1",)))
    assert cache.get("q") is None


def test_the_least_recently_used_answer_goes_first() -> None:
    cache = AnswerCache(2, Clock())
    for question in ("a", "b"):
        cache.put(question, Answer("ok", ttl_seconds=9))
    assert cache.get("a")
    cache.put("c", Answer("ok", ttl_seconds=9))
    assert [cache.get(question) is not None for question in ("a", "b", "c")] == [True, False, True]


def _response(rdtype: str = "A") -> tuple[bytes, bytes]:
    query = make_query("example.test", rdtype, 4_711)
    response = dns.message.make_response(dns.message.from_wire(query.wire))
    response.answer.append(dns.rrset.from_text("example.test.", 60, "IN", "A", "192.0.2.1"))
    return query.wire, response.to_wire()


def test_a_query_asks_for_recursion_with_the_safe_payload() -> None:
    message = dns.message.from_wire(make_query("example.test", "A", 4_711).wire)
    assert (message.id, message.payload, message.edns) == (4_711, 1_232, 0)
    assert message.flags == dns.flags.RD | dns.flags.AD


def test_only_the_response_to_the_question_is_taken() -> None:
    query = make_query("example.test", "A", 4_711)
    _, wire = _response()
    assert parse_response(query, wire) is not None
    assert parse_response(make_query("example.test", "A", 4_712), wire) is None
    assert parse_response(make_query("example.test", "AAAA", 4_711), wire) is None
    assert parse_response(make_query("other.test", "A", 4_711), wire) is None
    assert parse_response(query, query.wire) is None


@given(st.integers(2, 60), st.binary(max_size=20))
def test_a_damaged_response_is_an_error_never_a_crash(position: int, junk: bytes) -> None:
    _, wire = _response()
    query = make_query("example.test", "A", 4_711)
    try:
        message = parse_response(query, wire[:position] + junk)
    except ValueError:
        return
    if message is not None:
        assert isinstance(read_answer(message, trusted=False), Answer | NameLeads)


@pytest.mark.parametrize(
    ("text", "server"),
    [
        ("192.0.2.53", Server("192.0.2.53")),
        ("192.0.2.53:5353", Server("192.0.2.53", 5_353)),
        ("2001:db8::53", Server("2001:db8::53")),
        ("[2001:db8::53]:5353", Server("2001:db8::53", 5_353)),
        ("[2001:db8::53]", Server("2001:db8::53")),
    ],
)
def test_servers_are_addresses_with_or_without_a_port(text: str, server: Server) -> None:
    assert parse_server(text) == server


@pytest.mark.parametrize("text", ["dns.example.test", "192.0.2.53:x", "[2001:db8::53", "", "192.0.2.256"])
def test_a_server_that_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not the address of a DNS server"):
        parse_server(text)


async def test_without_settings_the_machine_s_servers_are_used(tmp_path: Path) -> None:
    conf = tmp_path / "resolv.conf"
    conf.write_text("# x\nsearch example.test\nnameserver 192.0.2.1\nnameserver nonsense\nnameserver 2001:db8::1\n")
    assert await find_servers((), conf) == (Server("192.0.2.1"), Server("2001:db8::1"))
    assert await find_servers((), tmp_path / "gone") == (Server("127.0.0.1"),)
    assert await find_servers(("192.0.2.9",), conf) == (Server("192.0.2.9"),)


@pytest.mark.parametrize(
    ("line", "domain"),
    [
        ("search mail.svc.cluster.local svc.cluster.local cluster.local", "cluster.local"),
        ("search mail.svc.k8s.example.test. SVC.k8s.example.test.", "k8s.example.test"),
        ("search example.test", ""),
        ("nameserver 192.0.2.1", ""),
    ],
)
async def test_the_cluster_s_domain_is_in_the_search_list(tmp_path: Path, line: str, domain: str) -> None:
    conf = tmp_path / "resolv.conf"
    conf.write_text(f"{line}\noptions ndots:5\n")
    assert await find_cluster_domain(conf) == domain
    assert await find_cluster_domain(tmp_path / "gone") == ""


ZONES = {
    "example.test": {"MX": ["10 MX.example.test."], "A": ["192.0.2.1"]},
    "www.test": {"CNAME": ["example.test"]},
    "loop.test": {"CNAME": ["loop.test"]},
    "down.test": {"*": ["!servfail"]},
}


@pytest.mark.parametrize(
    ("name", "rdtype", "answer"),
    [
        ("example.test", "A", Answer("ok", ("192.0.2.1",), ttl_seconds=300)),
        ("Example.test.", "MX", Answer("ok", mx=((10, "mx.example.test"),), ttl_seconds=300)),
        ("www.test", "A", Answer("ok", ("192.0.2.1",), ttl_seconds=300)),
        ("example.test", "AAAA", Answer("nodata")),
        ("gone.test", "A", Answer("nxdomain")),
        ("down.test", "MX", Answer("servfail")),
        ("loop.test", "A", Answer("error")),
    ],
)
async def test_the_memory_resolver_answers_as_a_real_one(name: str, rdtype: RdType, answer: Answer) -> None:
    assert await MemoryResolver(ZONES).ask(name, rdtype) == answer


REVERSE = {
    "1.2.0.192.in-addr.arpa": {"PTR": ["mail.example.test"]},
    "2.2.0.192.in-addr.arpa": {"PTR": ["liar.example.test"]},
    "3.2.0.192.in-addr.arpa": {"PTR": ["evil\\010name.example.test"]},
    "4.2.0.192.in-addr.arpa": {"PTR": ["!servfail"]},
    "5.2.0.192.in-addr.arpa": {"PTR": ["down.example.test"]},
    "6.2.0.192.in-addr.arpa": {"PTR": ["liar.example.test", "mail.example.test"]},
    "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa": {"PTR": ["mail.example.test"]},
    "mail.example.test": {"A": ["192.0.2.1", "192.0.2.6"], "AAAA": ["2001:db8::1"]},
    "liar.example.test": {"A": ["192.0.2.99"]},
    "down.example.test": {"A": ["!timeout"]},
}


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("192.0.2.1", ("mail.example.test", "pass")),
        ("::ffff:192.0.2.1", ("mail.example.test", "pass")),
        ("2001:db8::1", ("mail.example.test", "pass")),
        ("192.0.2.2", ("liar.example.test", "fail")),
        ("192.0.2.3", ("<unknown>", "fail")),
        ("192.0.2.4", ("<unknown>", "error")),
        ("192.0.2.5", ("down.example.test", "error")),
        ("192.0.2.6", ("mail.example.test", "pass")),
        ("192.0.2.7", ("<unknown>", "fail")),
        ("local", ("<unknown>", "error")),
    ],
)
async def test_a_reverse_name_is_confirmed_forwards(address: str, expected: tuple[str, str]) -> None:
    assert await forward_confirmed_name(MemoryResolver(REVERSE), address) == expected
