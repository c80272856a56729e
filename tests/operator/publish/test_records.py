"""The text to publish is exact: what a zone file, a provider's form and a verifier want."""

from typing import Any

import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.zone
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paquebot_operator.publish.dkim_record import DkimKey
from paquebot_operator.publish.mta_sts import mta_sts_policy, mta_sts_url
from paquebot_operator.publish.records import DnsRecord, dns_records
from tests.operator.publish.domains import mail_domain, mail_service

KEY = DkimKey("pq20260601", "ed25519", "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=")


def values(*keys: DkimKey, **publish: Any) -> dict[str, tuple[str, str]]:
    found = dns_records(mail_domain(publish=publish), mail_service(), keys)
    return {record.purpose: (record.name, record.value) for record in found}


def test_a_domain_says_by_default_where_its_mail_goes_and_comes_from() -> None:
    assert values() == {
        "MX": ("example.test", "10 mail.example.test"),
        "SPF": ("example.test", "v=spf1 mx -all"),
        "DMARC": ("_dmarc.example.test", "v=DMARC1; p=none"),
    }


def test_hosts_are_told_in_the_order_of_preference() -> None:
    hosts = [{"host": "MX2.example.test", "priority": 20}, {"host": "mx1.example.test"}]
    found = dns_records(mail_domain(publish={"mx": hosts}), mail_service(), ())
    assert [each.value for each in found if each.purpose == "MX"] == ["10 mx1.example.test", "20 mx2.example.test"]


def test_what_is_turned_off_is_not_told() -> None:
    assert set(values(spf="", dmarc={"policy": "Disabled"})) == {"MX"}


def test_policies_name_who_hears_of_them() -> None:
    found = values(
        dmarc={"policy": "Reject", "rua": ["dmarc@example.test", "o!x@example.test"]},
        tlsRpt={"rua": ["t@example.test"]},
    )
    assert found["DMARC"][1] == "v=DMARC1; p=reject; rua=mailto:dmarc@example.test,mailto:o%21x@example.test"
    assert found["TLSRPT"] == ("_smtp._tls.example.test", "v=TLSRPTv1; rua=mailto:t@example.test")


def test_keys_are_told_each_under_its_selector() -> None:
    name, text = values(KEY)["DKIM"]
    assert name == "pq20260601._domainkey.example.test"
    assert text == f"v=DKIM1; k=ed25519; p={KEY.public_key}"


def test_an_international_domain_is_told_in_a_labels() -> None:
    found = dns_records(mail_domain(domain="bücher.example.test"), mail_service(), ())
    assert found[0].name == "xn--bcher-kva.example.test"


def test_a_name_that_is_none_has_no_records() -> None:
    assert dns_records(mail_domain(domain="a..b"), mail_service(), ()) == ()
    assert dns_records(mail_domain(), mail_service(hostname="-"), ()) == ()


def test_the_mta_sts_policy_is_what_senders_read() -> None:
    enforced = mail_domain(publish={"mtaSts": {"mode": "Enforce", "maxAgeSeconds": 86_400}})
    assert mta_sts_policy(enforced, mail_service()) == (
        "version: STSv1\r\nmode: enforce\r\nmx: mail.example.test\r\nmax_age: 86400\r\n"
    )
    assert mta_sts_url(enforced) == "https://mta-sts.example.test/.well-known/mta-sts.txt"
    assert mta_sts_policy(mail_domain(), mail_service()) is None


def test_another_policy_has_another_id_of_at_most_32_letters_and_digits() -> None:
    testing, enforced = (values(mtaSts={"mode": mode})["MTA-STS"][1] for mode in ("Testing", "Enforce"))
    assert testing != enforced
    identity = enforced.removeprefix("v=STSv1; id=").removesuffix(";")
    assert identity.isalnum()
    assert len(identity) <= 32


@pytest.mark.parametrize("bits", [255, 256, 392, 800])
def test_a_long_text_is_split_for_zone_files_and_means_the_same(bits: int) -> None:
    record = DnsRecord("DKIM", "s._domainkey.example.test", "TXT", "v=DKIM1; k=rsa; p=" + "A" * bits)
    zone = dns.zone.from_text(f"$TTL 60\n{record.zone_line}\n", origin="example.test.", check_origin=False)
    (strings,) = [each.strings for each in zone.get_rdataset("s._domainkey", "TXT") or ()]
    assert b"".join(strings).decode() == record.value
    assert all(len(string) <= 255 for string in strings)


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=700))
def test_any_text_comes_back_from_a_zone_file(text: str) -> None:
    line = DnsRecord("SPF", "example.test", "TXT", text).zone_line
    data = line.removeprefix("example.test. IN TXT ")
    parsed: Any = dns.rdata.from_text(dns.rdataclass.IN, dns.rdatatype.TXT, data)
    assert b"".join(parsed.strings).decode() == text


def test_a_host_ends_with_a_dot_in_a_zone_file() -> None:
    assert DnsRecord("MX", "example.test", "MX", "10 mx.example.test").zone_line == (
        "example.test. IN MX 10 mx.example.test."
    )
