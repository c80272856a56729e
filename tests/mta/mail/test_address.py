"""Addresses: RFC 5321 and 6531, nothing looser."""

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paquebot_mta.mail.address import Address, AddressError, parse_address, parse_domain, parse_path

VECTORS = Path(__file__).resolve().parents[2] / "vectors" / "email-address" / "tests.xml"
VALID_FOR_SMTP = {"ISEMAIL_VALID_CATEGORY", "ISEMAIL_DNSWARN", "ISEMAIL_RFC5321"}

# Where we differ from the vectors on purpose.
DEVIATIONS = {
    # RFC 5321 allows the empty quoted string; its look-up key would be "@domain", the key of a catch-all.
    "43": False,
    # RFC 5321, 4.1.3 wants "::" to stand for two groups; RFC 4291, 2.2 (later in use) allows one.
    "71": True,
}


def _vectors() -> list[tuple[str, str, bool]]:
    cases = []
    for test in ET.parse(VECTORS).getroot().findall("test"):  # noqa: S314 - a file of ours
        number = test.get("id") or ""
        text = "".join(_control(char) for char in test.findtext("address") or "")
        cases.append((number, text, DEVIATIONS.get(number, test.findtext("category") in VALID_FOR_SMTP)))
    return cases


def _control(char: str) -> str:
    """Control characters stand as their symbols in the file."""
    return chr(ord(char) - 0x2400) if 0x2400 <= ord(char) < 0x2420 else char


def _accepted(text: str) -> bool:
    try:
        parse_address(text)
    except AddressError:
        return False
    return True


def test_the_vectors_are_all_there() -> None:
    assert len(_vectors()) == 164


@pytest.mark.parametrize(("number", "text", "valid"), _vectors())
def test_vector(number: str, text: str, valid: bool) -> None:
    assert _accepted(text) is valid, number


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("Alice@Example.TEST", "Alice@example.test"),
        ('"alice"@example.test', "alice@example.test"),
        (r'"a\b c"@example.test', '"ab c"@example.test'),
        (r'"a\"b\\"@example.test', r'"a\"b\\"@example.test'),
        ("a@bücher.example", "a@xn--bcher-kva.example"),
        ("a@BÜCHER.example", "a@xn--bcher-kva.example"),
        ("a@XN--bcher-kva.example", "a@xn--bcher-kva.example"),
        ("münchen@example.test", "münchen@example.test"),
        ("a@[192.0.2.1]", "a@[192.0.2.1]"),
        ("a@[ipv6:2001:DB8::1]", "a@[IPv6:2001:db8::1]"),
    ],
)
def test_spellings_of_one_address_are_equal(text: str, canonical: str) -> None:
    assert str(parse_address(text)) == canonical
    assert parse_address(canonical) == parse_address(text)


@pytest.mark.parametrize(
    "text",
    [
        "a@xn--zzzz-.test",
        "a@xn--a.test",
        "a@b。test",
        "a@[IPv6:fe80::1%eth0]",
        "a@[",
        "a@[]",
        "a@exa\u00admple.test",
        "a@\ud800.test",
        "\ud800@example.test",
        "a\u202eb@example.test",
        "a@under_score.test",
        "a@" + "b" * 64 + ".test",
        "é" * 33 + "@example.test",
        "a@" + ".".join(["ü" * 50] * 5),
        "a@ü" + "x" * 300,
    ],
)
def test_hostile_addresses_are_refused(text: str) -> None:
    assert not _accepted(text)


@pytest.mark.parametrize("text", [";id;@example.test", "-oQ/x@example.test", "|sh@example.test", "a/../b@example.test"])
def test_shell_characters_are_literal_atext_or_refused(text: str) -> None:
    if _accepted(text):
        assert str(parse_address(text)) == text
    else:
        assert ";" in text or ".." in text


def test_the_empty_path_is_the_null_reverse_path() -> None:
    assert parse_path("<>") is None


@pytest.mark.parametrize("text", ["a@b", "<a@b", "a@b>", "<@x.test:a@b.test>", "<a b@c>", "<postmaster>", "< >", ""])
def test_what_is_no_path_is_refused(text: str) -> None:
    with pytest.raises(AddressError):
        parse_path(text)


def test_postmaster_without_a_domain_is_taken_only_where_the_caller_says() -> None:
    assert parse_path("<PostMaster>", postmaster_domain="mx.example.test") == Address("PostMaster", "mx.example.test")


def test_the_key_folds_the_local_part_too() -> None:
    assert parse_address("News+Daily@Example.test").key == "news+daily@example.test"


@pytest.mark.parametrize("text", ["", ".", "a..b", "a.", "-a.test", "a b.test", "a" * 254])
def test_what_is_no_domain_is_refused(text: str) -> None:
    with pytest.raises(AddressError):
        parse_domain(text)


@given(st.text(max_size=300))
def test_any_text_is_an_address_or_an_address_error(text: str) -> None:
    _accepted(text)
    _accepted(f"{text}@example.test")
    _accepted(f"a@{text}")


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=20))
def test_any_printable_local_part_survives_a_round_trip(local_part: str) -> None:
    address = Address(local_part, "example.test")
    assert parse_address(str(address)) == address
