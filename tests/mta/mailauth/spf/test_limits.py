"""What a hostile policy can't do, and what the suite does not ask."""

import asyncio
import time
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paquebot_mta.mailauth.spf import SpfResult, check_spf
from paquebot_mta.mailauth.spf.macro import Expand, as_name, expand
from paquebot_mta.mailauth.spf.names import can_be_asked
from paquebot_mta.mailauth.spf.record import parse_record
from paquebot_mta.mailauth.spf.values import SpfSyntaxError
from paquebot_mta.resolver.memory import MemoryResolver, Zones
from paquebot_mta.resolver.questions import Answer

TERMS = (
    "a",
    "mx",
    "ptr",
    "all",
    "a:%{d}",
    "ip4:192.0.2.0/24",
    "exists:%{ir}.x.test",
    "include:b.test",
    "exp=%{p}.c.test",
)


async def check(zones: Zones, reverse_path: str = "joe@a.test", client: str = "192.0.2.1") -> SpfResult:
    return await check_spf(MemoryResolver(zones), client_address=client, reverse_path=reverse_path, helo="helo.test")


def txt(**policies: str) -> Zones:
    return {f"{name}.test": {"TXT": [policy]} for name, policy in policies.items()}


async def test_a_policy_that_includes_itself_ends() -> None:
    assert (await check(txt(a="v=spf1 include:a.test -all"))).result == "permerror"


async def test_a_tree_of_includes_costs_eleven_questions_at_most() -> None:
    zones = txt(a="v=spf1 include:b.test include:b.test -all", b="v=spf1 include:a.test include:a.test ?all")
    resolver = MemoryResolver(zones)
    found = await check_spf(resolver, client_address="192.0.2.1", reverse_path="joe@a.test", helo="helo.test")
    assert (found.result, len(resolver.asked)) == ("permerror", 11)


async def test_a_null_reverse_path_is_judged_by_helo() -> None:
    found = await check({"helo.test": {"TXT": ["v=spf1 ip4:192.0.2.1 -all"]}}, "")
    assert (found.result, found.domain, found.mechanism) == ("pass", "helo.test", "ip4:192.0.2.1")


async def test_a_client_without_an_address_has_no_result() -> None:
    assert (await check(txt(a="v=spf1 +all"), client="local")).result == "none"


async def test_a_mapped_address_is_ipv4() -> None:
    assert (await check(txt(a="v=spf1 ip4:192.0.2.1 -all"), client="::ffff:192.0.2.1")).result == "pass"


async def test_an_explanation_never_holds_control_characters() -> None:
    zones = {"a.test": {"TXT": ["v=spf1 -all exp=why.test"]}, "why.test": {"TXT": ["no\r\n250 yes"]}}
    assert await check(zones) == SpfResult("fail", "a.test", "-all")


async def test_silence_of_dns_is_a_temporary_error() -> None:
    class Silent:
        async def ask(self, name: str, rdtype: Literal["A", "AAAA", "MX", "PTR", "TXT"]) -> Answer:
            await asyncio.Event().wait()
            raise AssertionError

    found = await check_spf(
        Silent(), client_address="192.0.2.1", reverse_path="joe@a.test", helo="helo.test", timeout_seconds=0.02
    )
    assert (found.result, found.problem) == ("temperror", "out of time")


@given(st.lists(st.one_of(st.sampled_from(TERMS), st.text(max_size=20)), max_size=14))
async def test_no_record_breaks_the_check(terms: list[str]) -> None:
    policy = " ".join(["v=spf1", *terms])
    resolver = MemoryResolver(txt(a=policy, b=policy))
    found = await check_spf(resolver, client_address="192.0.2.1", reverse_path="joe@a.test", helo="helo.test")
    assert found.result in {"none", "neutral", "pass", "fail", "softfail", "temperror", "permerror"}
    assert len(resolver.asked) <= 120


@pytest.mark.parametrize("label", ["z" * 65_000 + "!", "z" * 65_000 + "-", "1" * 65_000, "-" + "z" * 65_000])
async def test_a_top_label_of_any_length_is_read_once(label: str) -> None:
    began = time.thread_time()
    assert (await check(txt(a=f"v=spf1 a:x.{label} +all"))).result == "permerror"
    assert time.thread_time() - began < 2  # about 0.01; the square of it is a minute


@pytest.mark.parametrize("digits", ["0", "129", "128" + "0" * 5_000, "0128" + "0" * 5_000])
def test_a_macro_keeps_1_to_128_parts(digits: str) -> None:
    with pytest.raises(SpfSyntaxError):
        parse_record(f"v=spf1 exists:%{{d{digits}}}.test")


@given(st.text(max_size=60))
def test_the_parser_knows_one_error_only(text: str) -> None:
    try:
        parse_record("v=spf1 " + text)
    except SpfSyntaxError:
        return


@given(st.text(max_size=300))
def test_a_name_that_is_asked_for_has_no_escapes_and_the_right_length(text: str) -> None:
    name = as_name(expand((Expand("l", escaped=False, keep=0, reverse=False, delimiters="."), ".test"), {"l": text}))
    assert not can_be_asked(name) or (len(name) <= 253 and "\\" not in name and name.isascii())
