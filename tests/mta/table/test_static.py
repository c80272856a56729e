"""Tables in memory, by service and match mode."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paquebot_mta.config.check_keys import MatchMode
from paquebot_mta.config.tables import Inline, Service, Table
from paquebot_mta.table.open import build_tables
from paquebot_mta.table.static import StaticTable


def table(service: Service, *keys: str, mode: MatchMode = "Exact") -> StaticTable:
    """Make a list for one service."""
    return StaticTable(Inline(keys=keys), (service,), mode)


def test_keys_are_folded() -> None:
    held = StaticTable(Inline(entries={"Team": "alice"}), ("alias", "domain"))
    assert held.value("alias", "TEAM") == "alice"
    assert held.has("domain", "team")


@pytest.mark.parametrize("service", ["credentials", "auth"])
def test_credentials_are_never_folded(service: Service) -> None:
    held = StaticTable(Inline(entries={"joe:Secret": "x"}), (service,))
    assert held.has(service, "joe:Secret")
    assert not held.has(service, "joe:secret")
    assert held.value(service, "JOE:Secret") is None


def test_two_spellings_of_one_key_are_refused() -> None:
    with pytest.raises(ValueError, match="twice"):
        table("alias", "Team", "team")


def test_a_list_has_keys_but_no_values() -> None:
    held = table("string", "a")
    assert held.has("string", "a")
    assert held.value("string", "a") is None


async def test_it_answers_as_any_table() -> None:
    held = StaticTable(Inline(keys=("192.0.2.1",), entries={"192.0.2.2": "mx.example.test"}), ("addrname", "source"))
    assert await held.check("source", "192.0.2.1")
    assert await held.lookup("addrname", "192.0.2.2") == "mx.example.test"
    assert list(await held.fetch("source")) == ["192.0.2.1", "192.0.2.2"]
    assert list(await held.fetch("alias")) == []


def test_it_answers_for_its_services_only() -> None:
    assert not table("string", "a").has("domain", "a")
    assert StaticTable(Inline(entries={"a": "b"}), ("string",)).value("alias", "a") is None


@pytest.mark.parametrize(
    ("entry", "key", "found"),
    [
        ("*.example.org", "a.example.org", True),
        ("*.Example.org", "A.example.ORG", True),
        ("*.example.org", "a.b.example.org", False),
        ("*.example.org", "example.org", False),
        ("*.example.org", ".example.org", False),
        ("mx*.example.org", "mx1.example.org", True),
        ("mx*.example.org", "mx.example.org", False),
        ("*.*.example.org", "a.b.example.org", True),
        ("*", "localhost", True),
        ("*", "example.org", False),
        ("a.example.org", "axexample.org", False),
    ],
)
@pytest.mark.parametrize(("service", "mode"), [("domain", "Exact"), ("domain", "Wildcard"), ("string", "Wildcard")])
def test_a_wildcard_stands_within_one_label(
    service: Service, mode: MatchMode, entry: str, key: str, found: bool
) -> None:
    assert table(service, entry, mode=mode).has(service, key) is found


def test_an_exact_string_has_no_wildcards() -> None:
    assert not table("string", "*").has("string", "a")


@pytest.mark.parametrize(
    ("entry", "address", "found"),
    [
        ("gilles", "gilles@poolp.example", True),
        ("gilles", "GILLES+list@any.example", True),
        ("gilles", "gillesx@any.example", False),
        ("@poolp.example", "any+tag@poolp.example", True),
        ("@poolp.example", "any@sub.poolp.example", False),
        ("gilles@poolp.example", "Gilles+tag@poolp.example", True),
        ("gilles@poolp.example", "gilles@other.example", False),
        ("gilles+tag@poolp.example", "gilles+tag@poolp.example", True),
        ("gilles+tag@poolp.example", "gilles@poolp.example", False),
        ("gilles+tag@poolp.example", "gilles+other@poolp.example", False),
        ("gilles+tag", "gilles+tag@any.example", True),
        ("gilles@*.poolp.example", "gilles+x@a.poolp.example", True),
        ("gilles@*.poolp.example", "gilles@a.b.poolp.example", False),
        ("gilles@*.poolp.example", "other@a.poolp.example", False),
        ("@*.example", "any@poolp.example", True),
        ("@", "any@poolp.example", True),
        ("@", "", True),
        ("gilles", "", False),
        ("@poolp.example", "", False),
        ("+list", "+list@any.example", True),
    ],
)
@pytest.mark.parametrize("mode", ["Exact", "Wildcard"])
def test_addresses_match_as_in_the_reference(mode: MatchMode, entry: str, address: str, found: bool) -> None:
    assert table("mailaddr", entry, mode=mode).has("mailaddr", address) is found


WORD = st.text("abcXYZ09", min_size=1, max_size=5)


@given(WORD, st.none() | WORD, st.none() | WORD)
def test_a_tag_counts_only_where_the_entry_has_one(name: str, entry_tag: str | None, tag: str | None) -> None:
    entry = name if entry_tag is None else f"{name}+{entry_tag}"
    address = (name if tag is None else f"{name}+{tag}") + "@example.test"
    expected = entry_tag is None or (tag is not None and entry_tag.lower() == tag.lower())
    assert table("mailaddr", entry).has("mailaddr", address) is expected
    assert table("mailaddr", f"{entry}@example.test").has("mailaddr", address) is expected


NETWORKS = ("192.0.2.0/24", "198.51.100.7", "2001:db8::/32", "[2001:db9::1]", "10.1.2.3/8", "::ffff:203.0.113.0/120")


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("192.0.2.0", True),
        ("192.0.2.255", True),
        ("192.0.3.0", False),
        ("::ffff:192.0.2.1", True),
        ("198.51.100.7", True),
        ("198.51.100.8", False),
        ("2001:db8:ffff::1", True),
        ("2001:db9::1", True),
        ("[2001:db9::1]", True),
        ("2001:db9::2", False),
        ("10.255.0.1", True),
        ("203.0.113.9", True),
        ("local", False),
        ("", False),
    ],
)
def test_networks_hold_their_addresses(address: str, found: bool) -> None:
    assert table("netaddr", *NETWORKS).has("netaddr", address) is found


def test_the_narrowest_network_has_the_value() -> None:
    entries = {"192.0.2.0/24": "net", "192.0.2.128/25": "half", "192.0.2.129": "one"}
    held = StaticTable(Inline(entries=entries), ("addrname",), "Network")
    found = [held.value("addrname", f"192.0.2.{last}") for last in (1, 130, 129)]
    assert found == ["net", "half", "one"]


def test_a_regex_is_searched_for_and_keeps_its_case() -> None:
    held = table("string", "^[A-Z]+$", "(?i)spam", mode="Regex")
    assert held.has("string", "ABC")
    assert not held.has("string", "abc")
    assert held.has("string", "some SPAM here")


def test_a_long_subject_never_matches_a_pattern() -> None:
    assert not table("string", "^a+$", mode="Regex").has("string", "a" * 321)
    assert not table("domain", "*.example.org").has("domain", "a" * 400 + ".example.org")


@pytest.mark.parametrize(
    "entry",
    [
        "(a+)+$",
        "(a|aa)+$",
        "(a*)*",
        "((a)|b){2,}",
        "(?:x?)*y",
        r"(\w+\s?)+$",
        r"(.)\1",
        "a*b*c*d",
        "^a*b*c*d*e",
        "(",
        "",
    ],
)
def test_a_regex_that_can_explode_is_refused(entry: str) -> None:
    with pytest.raises(ValueError, match="entry "):
        table("string", entry, mode="Regex")


@pytest.mark.parametrize(
    "entry", [r"^[a-z]+\.[a-z]+@[^@]+$", "(?i)^x.*y", "(foo|bar)?", "^(a)(b)+c", r"[(+*]+", r"\(a+\)+"]
)
def test_a_harmless_regex_is_taken(entry: str) -> None:
    table("string", entry, mode="Regex")


@pytest.mark.parametrize("entry", ["^.*.*.*x$", ".*.*x", "^[ab]*[a]*a*$"])
def test_the_worst_regex_that_is_taken_is_fast_enough(entry: str) -> None:
    held = table("string", entry, mode="Regex")
    start = time.process_time()
    held.has("string", "a" * 319 + "!")
    assert time.process_time() - start < 1.0


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        (Table(services=("netaddr",), inline=Inline(keys=("192.0.2.0/33",))), r"192\.0\.2\.0/33"),
        (Table(services=("string",), match_mode="Regex", inline=Inline(keys=("(",))), r"entry '\('"),
        (Table(services=("domain",), inline=Inline(keys=("*.*.*.*.*.*.*.*.*.x",))), "wildcards"),
        (Table(services=("mailaddr",), inline=Inline(keys=("",))), "empty"),
        (Table(services=("mailaddr",), inline=Inline(entries={"@*.*.*.*.*.*.*.*.*.x": "y"})), "entry .*wildcards"),
        (Table(services=("string",)), "no back end"),
    ],
)
def test_a_table_that_makes_no_sense_is_named(config: Table, reason: str) -> None:
    with pytest.raises(ValueError, match=f"table 'bad': .*{reason}"):
        build_tables({"good": Table(services=("string",), inline=Inline()), "bad": config})
