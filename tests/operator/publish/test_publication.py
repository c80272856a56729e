"""One step looks after a domain: keys before records, records before what is said of them."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from paquebot_operator.api.status import MailDomainStatus
from paquebot_operator.publish.publication import Publication, publication, secret_name
from paquebot_operator.publish.questions import Answer, Asks, RecordType
from tests.operator.builders import secret
from tests.operator.publish.domains import as_secret, mail_domain, mail_service
from tests.operator.publish.test_managed_keys import PEMS, made

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
GIVEN = {"mode": "Secret", "selector": "s1", "secretRef": {"name": "mine", "key": "dkim.key"}}
MANAGED = mail_domain(dkim={"mode": "Managed", "algorithm": "Ed25519"})


class Zone(Asks):
    """Answers from a dict of names and types."""

    def __init__(self, **texts: str) -> None:
        self.records = {name.replace("__", "."): text for name, text in texts.items()}

    async def ask(self, name: str, rdtype: RecordType) -> Answer:
        found = self.records.get(f"{name} {rdtype}")
        return Answer("Absent") if found is None else Answer("Found", (found,))

    def publish(self, told: Publication) -> None:
        """Do what the status says."""
        self.records = {f"{each.record.name} {each.record.type}": each.record.value for each in told.states}


def conditions(told: Publication) -> dict[str, tuple[str, str]]:
    return {each.type: (each.status, each.reason) for each in told.conditions}


async def test_a_new_domain_is_told_its_key_before_it_is_published() -> None:
    told = await publication(MANAGED, mail_service(), None, asks=Zone(), now=NOW, generate=made)
    assert told.secret is not None
    assert [each.type for each in told.dns_records] == ["MX", "TXT", "TXT", "TXT"]
    assert conditions(told) == {"DNSReady": ("False", "RecordMissing"), "DKIMReady": ("False", "RecordMissing")}


async def test_a_domain_is_ready_once_its_zone_says_what_the_status_said() -> None:
    zone = Zone()
    told = await publication(MANAGED, mail_service(), None, asks=zone, now=NOW, generate=made)
    assert told.secret is not None
    zone.publish(told)
    again = await publication(
        MANAGED, mail_service(), as_secret(told.secret), asks=zone, now=NOW, before=told.states, generate=made
    )
    assert again.secret is None
    assert conditions(again) == {"DNSReady": ("True", "DNSReady"), "DKIMReady": ("True", "DKIMReady")}


async def test_a_rotation_needs_nobody_but_the_zone() -> None:
    zone, rotation = Zone(), {"mode": "Scheduled", "intervalSeconds": 86_400, "overlapSeconds": 3_600}
    domain = mail_domain(dkim={"mode": "Managed", "algorithm": "Ed25519", "rotation": rotation})
    kept, told, signing = None, None, set()
    for hour in range(24 * 4):
        before = () if told is None else told.states
        now = NOW + timedelta(hours=hour)
        told = await publication(domain, mail_service(), kept, asks=zone, now=now, before=before, generate=made)
        kept = kept if told.secret is None else as_secret(told.secret)
        zone.publish(told)
        (dkim,) = [each for each in told.conditions if each.type == "DKIMReady"]
        assert hour == 0 or dkim.status == "True"
        signing |= {each.record.name for each in told.states if each.record.purpose == "DKIM"}
    assert len(signing) == 4


@pytest.mark.parametrize("length", [64, 246, 247, 253])
async def test_the_status_of_the_longest_domain_can_be_written(length: int) -> None:
    name = ".".join(["a" * 49] * 5)[: length - 5] + ".test"
    all_on = {"mtaSts": {"mode": "Enforce"}, "tlsRpt": {"rua": ["tls@example.test"]}, "dmarc": {"policy": "Reject"}}
    longest = mail_domain(domain=name, dkim=GIVEN | {"selector": "s" * 63}, publish=all_on)
    pem = as_secret(secret("mine", dkim_key=PEMS["Ed25519"].decode()))
    told = await publication(longest, mail_service(), pem, asks=None, now=NOW)
    assert len(told.dns_records) == 6
    status = msgspec.to_builtins(MailDomainStatus(dns_records=told.dns_records, mta_sts_policy=told.mta_sts_policy))
    assert msgspec.convert(status, MailDomainStatus).dns_records == told.dns_records


async def test_nobody_is_asked_where_checks_are_off() -> None:
    told = await publication(mail_domain(), mail_service(), None, asks=None, now=NOW)
    assert conditions(told) == {"DNSReady": ("Unknown", "NotChecked")}
    assert {each.present for each in told.dns_records} == {"Unknown"}


async def test_a_strange_secret_is_told_and_left_alone() -> None:
    strange = as_secret(secret("example-test-dkim", other="x"))
    told = await publication(MANAGED, mail_service(), strange, asks=Zone(), now=NOW, generate=made)
    assert told.secret is None
    assert conditions(told)["DKIMReady"] == ("False", "NoKey")


async def test_a_given_key_is_published_under_its_selector() -> None:
    given = mail_domain(dkim=GIVEN)
    pem = as_secret(secret("mine", dkim_key=PEMS["Ed25519"].decode()))
    told = await publication(given, mail_service(), pem, asks=Zone(), now=NOW)
    assert told.states[2].record.name == "s1._domainkey.example.test"


def test_the_secret_to_read_is_named() -> None:
    given = mail_domain(dkim={"mode": "Secret", "selector": "s1", "secretRef": {"name": "mine"}})
    assert [secret_name(each) for each in (mail_domain(), MANAGED, given)] == [None, "example-test-dkim", "mine"]


async def test_the_policy_to_serve_is_told() -> None:
    enforced = mail_domain(publish={"mtaSts": {"mode": "Enforce"}})
    told = await publication(enforced, mail_service(), None, asks=None, now=NOW)
    assert told.mta_sts_policy.startswith("version: STSv1\r\nmode: enforce\r\nmx: mail.example.test\r\n")
    assert (await publication(mail_domain(), mail_service(), None, asks=None, now=NOW)).mta_sts_policy == ""
