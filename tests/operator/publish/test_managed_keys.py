"""Managed DKIM keys: made once, never lost, turned when DNS has the next one."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from paquebot_operator.api.core import Secret
from paquebot_operator.api.maildomain import MailDomain
from paquebot_operator.publish.dkim_record import DkimKeyError, public_half
from paquebot_operator.publish.dkim_ring import Algorithm
from paquebot_operator.publish.managed_keys import DkimKeys, generate, keys_of_secret, managed_key
from tests.operator.builders import secret
from tests.operator.publish.domains import UID, as_secret, mail_domain

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
PEMS: dict[Algorithm, bytes] = {"RSA2048": generate("RSA2048"), "Ed25519": generate("Ed25519")}


def made(algorithm: Algorithm) -> bytes:
    return PEMS[algorithm]


def managed(**more: Any) -> MailDomain:
    return mail_domain(dkim={"mode": "Managed", "algorithm": "Ed25519"} | more)


async def turn(domain: MailDomain, before: Secret | None, now: datetime, *published: str) -> Secret:
    """What the Secret is after `managed_key`."""
    manifest = await managed_key(domain, before, now, published=published, generate=made)
    assert manifest is not None
    return as_secret(manifest)


def selectors(keys: DkimKeys) -> tuple[list[str], str]:
    return [key.selector for key in keys.published], keys.signing


async def test_a_domain_gets_its_first_key_and_uses_it_at_once() -> None:
    found = await turn(managed(), None, NOW)
    assert selectors(keys_of_secret(managed(), found)) == (["pq20260601"], "pq20260601")
    assert await managed_key(managed(), found, NOW + 900 * DAY, generate=made) is None


async def test_the_secret_belongs_to_the_domain() -> None:
    manifest = await managed_key(managed(), None, NOW, generate=made)
    assert manifest is not None
    assert (manifest["metadata"]["name"], manifest["metadata"]["namespace"]) == ("example-test-dkim", "mail")
    assert manifest["metadata"]["ownerReferences"][0]["uid"] == UID
    assert manifest["type"] == "paquebot.dev/dkim"
    assert sorted(manifest["data"]) == ["keys.json", "pq20260601.pem"]


async def test_the_selector_can_be_given() -> None:
    found = await turn(managed(selector="mail"), None, NOW)
    assert selectors(keys_of_secret(managed(selector="mail"), found)) == (["mail"], "mail")


@pytest.mark.parametrize(("algorithm", "tag"), [("RSA2048", "rsa"), ("Ed25519", "ed25519")])
async def test_keys_are_what_was_asked_for(algorithm: Algorithm, tag: str) -> None:
    domain = managed(algorithm=algorithm)
    (key,) = keys_of_secret(domain, await turn(domain, None, NOW)).published
    assert key.algorithm == tag
    assert PEMS[algorithm].startswith(b"-----BEGIN PRIVATE KEY-----")


async def test_another_algorithm_waits_until_dns_has_it() -> None:
    first, rsa = await turn(managed(), None, NOW), managed(algorithm="RSA2048")
    both = await turn(rsa, first, NOW)
    assert selectors(keys_of_secret(rsa, both)) == (["pq20260601", "pq20260601-2"], "pq20260601")
    assert await managed_key(rsa, both, NOW + 2 * DAY, generate=made) is None
    turned = await turn(rsa, both, NOW + 2 * DAY, "pq20260601-2")
    assert keys_of_secret(rsa, turned).signing == "pq20260601-2"


async def test_a_key_is_not_used_while_caches_may_lack_it() -> None:
    rsa = managed(algorithm="RSA2048")
    both = await turn(rsa, await turn(managed(), None, NOW), NOW)
    soon = NOW + timedelta(minutes=59)
    assert await managed_key(rsa, both, soon, published=["pq20260601-2"], generate=made) is None


async def test_rotation_goes_on_for_ever_and_keeps_old_records_for_a_while() -> None:
    rotation = {"mode": "Scheduled", "intervalSeconds": 30 * 86_400, "overlapSeconds": 7 * 86_400}
    domain, found = managed(rotation=rotation), await turn(managed(), None, NOW)
    found = await turn(domain, found, NOW + 30 * DAY)
    assert selectors(keys_of_secret(domain, found)) == (["pq20260601", "pq20260701"], "pq20260601")
    found = await turn(domain, found, NOW + 31 * DAY, "pq20260701")
    assert selectors(keys_of_secret(domain, found)) == (["pq20260601", "pq20260701"], "pq20260701")
    assert await managed_key(domain, found, NOW + 37 * DAY, generate=made) is None
    found = await turn(domain, found, NOW + 38 * DAY)
    assert selectors(keys_of_secret(domain, found)) == (["pq20260701"], "pq20260701")
    assert found.value("pq20260601.pem") is None


async def test_a_next_key_that_is_not_wanted_any_more_makes_way() -> None:
    both = await turn(managed(selector="b"), await turn(managed(), None, NOW), NOW)
    found = await turn(managed(selector="c"), both, NOW)
    assert selectors(keys_of_secret(managed(), found)) == (["pq20260601", "c"], "pq20260601")


async def test_private_keys_are_carried_along_unchanged() -> None:
    first = await turn(managed(), None, NOW)
    both = await turn(managed(algorithm="RSA2048"), first, NOW)
    assert both.value("pq20260601.pem") == first.value("pq20260601.pem") == PEMS["Ed25519"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({}, "none of ours"),
        ({"keys_json": "{"}, "keys.json"),
        ({"keys_json": '{"keys":[{"selector":"s","algorithm":"X"}]}'}, "keys.json"),
        (
            {
                "keys_json": '{"keys":[{"selector":"s","algorithm":"Ed25519","state":"Current",'
                '"created":"2026-06-01T12:00:00Z","since":"2026-06-01T12:00:00Z"}]}'
            },
            "s.pem is missing",
        ),
    ],
)
async def test_a_secret_that_is_not_ours_is_left_alone(data: dict[str, str], message: str) -> None:
    strange = as_secret(secret("example-test-dkim", **data))
    with pytest.raises(DkimKeyError, match=message):
        await managed_key(managed(), strange, NOW, generate=made)
    assert message in keys_of_secret(managed(), strange).trouble


async def test_keys_are_made_for_managed_domains_only() -> None:
    assert await managed_key(mail_domain(), None, NOW, generate=made) is None
    assert keys_of_secret(mail_domain(), None) == DkimKeys()


GIVEN = mail_domain(dkim={"mode": "Secret", "selector": "s1", "secretRef": {"name": "mine", "key": "dkim.key"}})


def bad_keys() -> Iterator[tuple[dict[str, str], str]]:
    curve = ec.generate_private_key(ec.SECP256R1())
    pem = curve.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    yield {}, "has no key dkim.key"
    yield {"dkim_key": "hello"}, "not an unencrypted private key"
    yield {"dkim_key": pem}, "neither an Ed25519 nor an RSA key"


@pytest.mark.parametrize(("data", "message"), list(bad_keys()))
def test_a_given_key_that_cannot_sign_is_told(data: dict[str, str], message: str) -> None:
    assert message in keys_of_secret(GIVEN, as_secret(secret("mine", **data))).trouble


def test_a_given_key_is_told_under_its_selector() -> None:
    found = keys_of_secret(GIVEN, as_secret(secret("mine", dkim_key=PEMS["RSA2048"].decode())))
    assert selectors(found) == (["s1"], "s1")
    assert keys_of_secret(GIVEN, None).trouble


def test_the_public_half_of_ed25519_is_the_raw_key() -> None:
    assert len(public_half("s", PEMS["Ed25519"]).public_key) == 44  # 32 bytes, RFC 8463, 4
