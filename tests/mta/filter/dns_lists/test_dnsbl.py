"""DNS lists of clients: who is named, and what silence means."""

import pytest

from paquebot_mta.config.filters import Dnsbl, DnsList, FilterAction
from paquebot_mta.filter.contract import FilterError
from paquebot_mta.filter.decisions import JUNK, PROCEED, Decision, Reject
from paquebot_mta.filter.dns_lists.dnsbl import DnsblFilter, build_dnsbl
from paquebot_mta.filter.tools import Places
from paquebot_mta.mail.reply import Reply
from paquebot_mta.resolver.memory import Zones

from ..asked import World, facts

NAMED = "1.2.0.192.bl.test"
NIBBLES = "1.0.0.0." + "0.0.0.0." * 5 + "8.b.d.0.1.0.0.2.bl.test"


def made(zones: Zones, *lists: DnsList, **settings: object) -> DnsblFilter:
    config = Dnsbl(lists=lists or (DnsList(zone="bl.test"),), **settings)  # type: ignore[arg-type]
    return build_dnsbl("lists", config, Places(), World(zones).tools)


async def decide(zones: Zones, *lists: DnsList, address: str = "192.0.2.1", **settings: object) -> Decision:
    return await made(zones, *lists, **settings).decide("connect", facts(address), "")


async def test_a_client_that_is_listed_is_told_where() -> None:
    decision = await decide({NAMED: {"A": ["127.0.0.2"]}})
    assert decision == Reject(Reply(550, "Your address is listed (192.0.2.1: bl.test)", "5.7.1"))


async def test_a_client_that_is_not_listed_goes_on() -> None:
    assert await decide({}) == PROCEED


async def test_ipv6_is_asked_by_nibbles() -> None:
    assert isinstance(await decide({NIBBLES: {"A": ["127.0.0.2"]}}, address="2001:db8::1"), Reject)


async def test_a_mapped_address_is_asked_as_ipv4() -> None:
    assert isinstance(await decide({NAMED: {"A": ["127.0.0.2"]}}, address="::ffff:192.0.2.1"), Reject)


@pytest.mark.parametrize("answer", ["192.0.2.99", "10.0.0.1", "126.255.255.255", "128.0.0.0"])
async def test_answers_outside_of_127_are_not_from_a_list(answer: str) -> None:
    assert await decide({NAMED: {"A": [answer]}}) == PROCEED


@pytest.mark.parametrize("answer", ["127.255.255.254", "127.0.0.1"])
async def test_a_list_that_refuses_us_gave_no_answer(answer: str) -> None:
    with pytest.raises(FilterError, match=r"bl\.test"):
        await decide({NAMED: {"A": [answer]}})


async def test_a_list_that_names_everybody_gave_no_answer() -> None:
    with pytest.raises(FilterError):
        await decide({NAMED: {"A": ["127.0.0.2"]}, "1.0.0.127.bl.test": {"A": ["127.0.0.2"]}})


@pytest.mark.parametrize(("codes", "named"), [(("127.0.0.3",), False), (("127.0.0.0/29",), True), ((), True)])
async def test_only_the_codes_count(codes: tuple[str, ...], named: bool) -> None:
    decision = await decide({NAMED: {"A": ["127.0.0.4"]}}, DnsList(zone="bl.test", codes=codes))
    assert isinstance(decision, Reject) is named


async def test_weights_are_added_up_and_good_lists_count_against() -> None:
    zones = {NAMED: {"A": ["127.0.0.2"]}, "1.2.0.192.wl.test": {"A": ["127.0.0.5"]}}
    bad, good = DnsList(zone="bl.test", weight=5), DnsList(zone="wl.test", weight=-3)
    assert isinstance(await decide(zones, bad, threshold=5), Reject)
    assert await decide(zones, bad, good, threshold=5) == PROCEED
    assert isinstance(await decide(zones, bad, good, threshold=2), Reject)


@pytest.mark.parametrize("fault", ["!servfail", "!timeout", "!error"])
async def test_silence_fails_the_filter_only_where_it_matters(fault: str) -> None:
    zones = {NAMED: {"A": ["127.0.0.2"]}, "1.2.0.192.mute.test": {"A": [fault]}}
    sure, mute = DnsList(zone="bl.test", weight=3), DnsList(zone="mute.test", weight=2)
    assert isinstance(await decide(zones, sure, mute, threshold=3), Reject)
    assert await decide(zones, mute, threshold=3) == PROCEED
    with pytest.raises(FilterError, match=r"mute\.test"):
        await decide(zones, sure, mute, threshold=4)
    with pytest.raises(FilterError):
        await decide(zones, sure, DnsList(zone="mute.test", weight=-2), threshold=3)


@pytest.mark.parametrize("known", [facts("local"), facts(user="joe")])
async def test_our_users_and_local_programs_are_not_asked_about(known: object) -> None:
    world = World({NAMED: {"A": ["127.0.0.2"]}})
    found = build_dnsbl("lists", Dnsbl(lists=(DnsList(zone="bl.test"),)), Places(), world.tools)
    assert await found.decide("connect", known, "") == PROCEED  # type: ignore[arg-type]
    assert world.resolver.asked == []


async def test_any_action_may_follow() -> None:
    assert await decide({NAMED: {"A": ["127.0.0.2"]}}, action=FilterAction(kind="junk")) == JUNK


def test_the_phase_helo_is_both_commands() -> None:
    assert made({}, phase="helo").phases == {"helo", "ehlo"}


async def test_a_domains_filter_is_asked_at_its_recipients() -> None:
    listed = made({NAMED: {"A": ["127.0.0.2"]}})
    of_domain = listed.at_recipients()
    assert listed.phases == {"connect"}
    assert of_domain.phases == {"rcpt-to"}
    assert isinstance(await of_domain.decide("rcpt-to", facts("192.0.2.1"), ""), Reject)


def test_codes_outside_of_127_are_refused() -> None:
    with pytest.raises(ValueError, match=r"192\.0\.2\.1"):
        made({}, DnsList(zone="bl.test", codes=("192.0.2.1",)))
