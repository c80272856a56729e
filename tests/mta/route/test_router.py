"""Where mail goes, from zones in memory."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paquebot_mta.config.actions import ClientTls, Lmtp, Relay
from paquebot_mta.config.service import DestinationLimits, Outbound
from paquebot_mta.mail.outcome import Deferred, Failed
from paquebot_mta.resolver.memory import MemoryResolver, Zones
from paquebot_mta.route.hops import NextHop, Route
from paquebot_mta.route.router import Router
from paquebot_mta.telemetry.events import Event, MxLookup

Trouble = tuple[type[Deferred | Failed], int, str, str]

HOSTS: Zones = {
    "a.example.test": {"A": ["192.0.2.1"], "AAAA": ["2001:db8::1"]},
    "b.example.test": {"A": ["192.0.2.2"]},
    "six.example.test": {"AAAA": ["2001:db8::6"]},
    "us.example.test": {"A": ["192.0.2.250"], "AAAA": ["2001:db8::250"]},
    "also-us.example.test": {"A": ["192.0.2.250"]},
    "half.example.test": {"A": ["192.0.2.7"], "AAAA": ["!servfail"]},
    "down.example.test": {"A": ["!timeout"], "AAAA": ["!timeout"]},
    "empty.example.test": {"TXT": ["x"]},
    "loopback.example.test": {"A": ["127.0.0.1"], "AAAA": ["::1"]},
    "many.example.test": {
        "A": [f"198.51.100.{number}" for number in range(1, 200)],
        "AAAA": [f"2001:db8:1::{number}" for number in range(1, 200)],
    },
}


class Routed:
    """A router over zones, and what it told."""

    def __init__(self, zones: Zones, outbound: Outbound | None = None, seed: int = 0) -> None:
        self.events: list[Event] = []
        self.resolver = MemoryResolver({**HOSTS, **zones})
        self.router = Router(
            resolver=self.resolver,
            outbound=outbound or Outbound(),
            hostname="US.example.test.",
            local_addresses=lambda: frozenset({"192.0.2.250", "2001:db8::250", "127.0.0.1", "::1"}),
            emit=self.events.append,
            shuffle=random.Random(seed).shuffle,
        )

    async def hops(self, domain: str = "dest.test", action: Relay | Lmtp | None = None) -> list[str]:
        """List ``name address`` of the next hops."""
        route = await self.route(domain, action)
        return [f"{hop.name} {hop.address}" for hop in route.next_hops]

    async def route(self, domain: str = "dest.test", action: Relay | Lmtp | None = None) -> Route:
        """Route what can be routed."""
        route = await self.router.route(action or Relay(), domain)
        assert isinstance(route, Route), route
        return route

    async def trouble(
        self, domain: str = "dest.test", action: Relay | Lmtp | None = None
    ) -> tuple[type, int, str, str]:
        """Say why there is no route: kind, code, status, and what was told."""
        outcome = await self.router.route(action or Relay(), domain)
        assert isinstance(outcome, Deferred | Failed), outcome
        told = "".join(event.result for event in self.events if isinstance(event, MxLookup))
        return type(outcome), outcome.reply.code, outcome.reply.status, told


def mx(*records: str) -> Zones:
    """Make a destination with those MX records."""
    return {"dest.test": {"MX": list(records)}}


async def test_the_lowest_preference_is_tried_first_and_ipv6_before_ipv4() -> None:
    routed = Routed(mx("20 b.example.test", "10 a.example.test"))
    route = await routed.route()
    assert route.next_hops == (
        NextHop("a.example.test", "2001:db8::1", 25, 10),
        NextHop("a.example.test", "192.0.2.1", 25, 10),
        NextHop("b.example.test", "192.0.2.2", 25, 20),
    )
    assert (route.protocol, route.implicit_tls, route.tls) == ("smtp", False, ClientTls())
    assert routed.events == [MxLookup(result="ok")]


@pytest.mark.parametrize(
    ("family", "hops"),
    [
        ("IPv4First", ["a.example.test 192.0.2.1", "a.example.test 2001:db8::1"]),
        ("IPv4Only", ["a.example.test 192.0.2.1"]),
        ("IPv6Only", ["a.example.test 2001:db8::1"]),
    ],
)
async def test_the_families_are_a_setting(family: str, hops: list[str]) -> None:
    outbound = Outbound(family=family)  # type: ignore[arg-type]
    assert await Routed(mx("10 a.example.test"), outbound).hops() == hops


async def test_equal_preferences_are_tried_in_random_order() -> None:
    zones = mx("10 a.example.test", "10 b.example.test", "10 six.example.test", "5 half.example.test")
    orders = [await Routed(zones, seed=seed).hops() for seed in range(30)]
    assert {order[0] for order in orders} == {"half.example.test 192.0.2.7"}
    assert len({order[1] for order in orders}) == 3


async def test_equal_sets_of_hosts_have_equal_keys_whatever_the_order() -> None:
    zones = {
        **mx("10 a.example.test", "10 b.example.test", "20 many.example.test"),
        "other.test": {"MX": ["20 many.example.test", "10 b.example.test", "10 a.example.test"]},
        "third.test": {"MX": ["10 a.example.test"]},
    }
    routers = [Routed(zones, seed=seed) for seed in range(9)]
    keys = {(await routed.route(name)).key for routed in routers for name in ("dest.test", "other.test")}
    assert len(keys) == 1
    assert (await Routed(zones).route("third.test")).key not in keys


@pytest.mark.parametrize(
    "other",
    [Relay(tls=ClientTls(policy="Required")), Relay(implicit_tls=True), Relay(tls=ClientTls(ca="x"))],
)
async def test_another_policy_is_another_key(other: Relay) -> None:
    routed = Routed(mx("10 a.example.test"))
    assert (await routed.route(action=other)).key != (await routed.route()).key


async def test_a_destination_may_have_a_policy_of_its_own() -> None:
    own = DestinationLimits(domain="*.bank.test", tls=ClientTls(policy="Verified"))
    zones = {name: {"MX": ["10 a.example.test"]} for name in ("dest.test", "mail.bank.test")}
    routed = Routed(zones, Outbound(destinations=(own, DestinationLimits(domain="dest.test", connections=1))))
    bank, other = await routed.route("mail.bank.test"), await routed.route("dest.test")
    assert (bank.tls.policy, other.tls.policy) == ("Verified", "Opportunistic")
    assert bank.key != other.key
    smarthost = await routed.route("mail.bank.test", Relay(host="a.example.test"))
    assert smarthost.tls.policy == "Opportunistic"


@pytest.mark.parametrize("records", [("0 .",), ("0 localhost",), ("10 .",)])
async def test_a_null_mx_refuses_mail(records: tuple[str, ...]) -> None:
    assert await Routed(mx(*records)).trouble() == (Failed, 556, "5.1.10", "nullmx")


async def test_a_null_mx_among_others_is_passed_over() -> None:
    assert await Routed(mx("0 .", "10 b.example.test")).hops() == ["b.example.test 192.0.2.2"]


async def test_without_mx_the_domain_itself_takes_mail() -> None:
    assert await Routed({"dest.test": {"A": ["192.0.2.3"]}}).hops() == ["dest.test 192.0.2.3"]


async def test_an_alias_leads_to_another_domain_s_hosts() -> None:
    zones = {"www.test": {"CNAME": ["dest.test"]}, **mx("10 b.example.test")}
    assert await Routed(zones).hops("www.test") == ["b.example.test 192.0.2.2"]


TROUBLES: dict[str, tuple[Zones, Trouble]] = {
    "no such domain": ({}, (Failed, 550, "5.1.2", "nxdomain")),
    "no MX and no address": ({"dest.test": {"TXT": ["x"]}}, (Failed, 550, "5.1.2", "nomx")),
    "MX asks a server that fails": ({"dest.test": {"MX": ["!servfail"]}}, (Deferred, 451, "4.4.3", "servfail")),
    "MX times out": ({"dest.test": {"MX": ["!timeout"]}}, (Deferred, 451, "4.4.3", "timeout")),
    "MX can't be read": ({"dest.test": {"MX": ["!error"]}}, (Deferred, 451, "4.4.3", "servfail")),
    "addresses time out": (mx("10 down.example.test"), (Deferred, 451, "4.4.3", "timeout")),
    "one down, one gone": (mx("10 gone.example.test", "20 down.example.test"), (Deferred, 451, "4.4.3", "timeout")),
    "no fallback while DNS is down": ({"dest.test": {"A": ["!servfail"]}}, (Deferred, 451, "4.4.3", "servfail")),
    "hosts do not exist": (mx("10 gone.example.test", "20 empty.example.test"), (Failed, 550, "5.4.4", "nomx")),
    "our loopback": (mx("10 loopback.example.test"), (Failed, 554, "5.4.6", "loop")),
    "we are the best by name": (mx("10 us.example.test", "20 b.example.test"), (Failed, 554, "5.4.6", "loop")),
    "we are the best by address": (mx("10 also-us.example.test", "20 b.example.test"), (Failed, 554, "5.4.6", "loop")),
    "we are among the best": (mx("10 us.example.test", "10 b.example.test"), (Failed, 554, "5.4.6", "loop")),
    "the domain is ours by its address": ({"dest.test": {"A": ["192.0.2.250"]}}, (Failed, 554, "5.4.6", "loop")),
}


@pytest.mark.parametrize("name", TROUBLES)
async def test_trouble_defers_or_fails(name: str) -> None:
    zones, expected = TROUBLES[name]
    assert await Routed(zones).trouble() == expected


@pytest.mark.parametrize("us", ["us.example.test", "also-us.example.test"])
async def test_only_better_hosts_than_ourselves_are_tried(us: str) -> None:
    zones = mx("10 b.example.test", f"20 {us}", "20 a.example.test", "30 six.example.test")
    assert await Routed(zones).hops() == ["b.example.test 192.0.2.2"]


async def test_a_backup_mx_may_have_another_name() -> None:
    zones = mx("10 b.example.test", "20 a.example.test", "30 six.example.test")
    assert await Routed(zones).hops(action=Relay(backup_mx="A.example.test")) == ["b.example.test 192.0.2.2"]


async def test_a_family_that_fails_does_not_stop_the_other() -> None:
    assert await Routed(mx("10 half.example.test")).hops() == ["half.example.test 192.0.2.7"]


async def test_a_host_that_fails_does_not_stop_the_others() -> None:
    zones = mx("10 down.example.test", "20 b.example.test")
    assert await Routed(zones).hops() == ["b.example.test 192.0.2.2"]


async def test_five_addresses_are_enough_and_both_families_are_among_them() -> None:
    route = await Routed(mx("10 many.example.test", "20 b.example.test")).route()
    assert len(route.next_hops) == 5
    assert [":" in hop.address for hop in route.next_hops] == [True] * 4 + [False]


async def test_ten_hosts_are_enough() -> None:
    routed = Routed(mx(*(f"{number} mx{number}.example.test" for number in range(100))))
    await routed.trouble()
    asked = {name for name, rdtype in routed.resolver.asked if rdtype == "A"}
    assert asked == {f"mx{number}.example.test" for number in range(10)}


PRIVATE = ["127.0.0.2", "10.1.2.3", "192.168.1.1", "169.254.169.254", "172.16.0.1", "100.64.0.1", "0.0.0.0"]
PRIVATE_6 = ["fe80::1", "fd00::1", "::", "::ffff:10.1.2.3", "ff02::1"]


@pytest.mark.parametrize("address", PRIVATE + PRIVATE_6)
async def test_private_addresses_from_dns_are_not_reached_unless_allowed(address: str) -> None:
    kind = "AAAA" if ":" in address else "A"
    zones = {**mx("10 inside.test"), "inside.test": {kind: [address]}}
    assert await Routed(zones).trouble() == (Failed, 550, "5.4.4", "nomx")
    allowed = Routed(zones, Outbound(allow_private_next_hops=True, port=2_525))
    assert (await allowed.route()).next_hops == (NextHop("inside.test", address, 2_525, 10),)


async def test_loopback_is_not_ourselves_while_it_is_allowed() -> None:
    allowed = Routed(mx("10 loopback.example.test"), Outbound(allow_private_next_hops=True))
    assert await allowed.hops() == ["loopback.example.test ::1", "loopback.example.test 127.0.0.1"]


@pytest.mark.parametrize(
    ("domain", "address"),
    [("[192.0.2.9]", "192.0.2.9"), ("[IPv6:2001:db8::9]", "2001:db8::9")],
)
async def test_an_address_literal_is_its_own_next_hop(domain: str, address: str) -> None:
    routed = Routed({})
    assert (await routed.route(domain)).next_hops == (NextHop(address, address, 25),)
    assert routed.resolver.asked == []


@pytest.mark.parametrize(
    ("domain", "status"),
    [("[127.0.0.2]", "5.4.4"), ("[192.0.2.250]", "5.4.6"), ("[IPv6:::ffff:127.0.0.2]", "5.4.4")],
)
async def test_an_address_literal_leads_neither_to_us_nor_inside(domain: str, status: str) -> None:
    assert (await Routed({}).trouble(domain))[2] == status


@pytest.mark.parametrize("host", ["a.example.test", "A.example.test.", "[a.example.test]"])
async def test_a_smarthost_is_not_looked_up_as_mx(host: str) -> None:
    routed = Routed({"a.example.test": {**HOSTS["a.example.test"], "MX": ["1 b.example.test"]}})
    route = await routed.route(action=Relay(host=host, port=465, implicit_tls=True))
    assert route.next_hops == (
        NextHop("a.example.test", "2001:db8::1", 465),
        NextHop("a.example.test", "192.0.2.1", 465),
    )
    assert route.implicit_tls
    assert ("a.example.test", "MX") not in routed.resolver.asked


@pytest.mark.parametrize("host", ["127.0.0.1", "[127.0.0.1]", "::1", "[::1]", "[IPv6:::1]"])
async def test_a_smarthost_may_be_any_address(host: str) -> None:
    address = "::1" if "::1" in host else "127.0.0.1"
    route = await Routed({}).route(action=Relay(host=host, port=2_525))
    assert route.next_hops == (NextHop(address, address, 2_525),)


@pytest.mark.parametrize("host", ["gone.example.test", "empty.example.test", "down.example.test"])
async def test_a_smarthost_that_is_not_found_never_bounces_mail(host: str) -> None:
    assert (await Routed({}).trouble(action=Relay(host=host)))[:2] == (Deferred, 451)


async def test_lmtp_goes_to_a_socket_or_a_host_with_its_port() -> None:
    routed = Routed({})
    socket = await routed.route(action=Lmtp(destination="unix:/run/lmtp"))
    assert (socket.next_hops, socket.protocol) == ((NextHop("localhost", "/run/lmtp", 0),), "lmtp")
    host = await routed.route(action=Lmtp(destination="b.example.test:24"))
    assert (host.next_hops, host.protocol) == ((NextHop("b.example.test", "192.0.2.2", 24),), "lmtp")
    assert host.tls == ClientTls(policy="None")
    local = await routed.route(action=Lmtp(destination="localhost:24"))
    assert [hop.address for hop in local.next_hops] == ["::1", "127.0.0.1"]
    literal = await routed.route(action=Lmtp(destination="[::1]:24"))
    assert literal.next_hops == (NextHop("::1", "::1", 24),)


@pytest.mark.parametrize("destination", ["b.example.test", "b.example.test:", ":24", "x:0", "x:70000", "a:b:24", ""])
async def test_lmtp_without_a_port_is_deferred(destination: str) -> None:
    assert (await Routed({}).trouble(action=Lmtp(destination=destination)))[:3] == (Deferred, 451, "4.3.5")


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from([*sorted(HOSTS), "gone.example.test", "."]))))
async def test_no_set_of_records_leads_to_us_or_out_of_order(records: list[tuple[int, str]]) -> None:
    zones = mx(*(f"{preference} {name}" for preference, name in records))
    outcome = await Routed(zones).router.route(Relay(), "dest.test")
    if isinstance(outcome, Route):
        hops = outcome.next_hops
        assert 0 < len(hops) <= 5
        assert [hop.preference for hop in hops] == sorted(hop.preference for hop in hops)
        assert not {"192.0.2.250", "2001:db8::250", "127.0.0.1", "::1"} & {hop.address for hop in hops}
