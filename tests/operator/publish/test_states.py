"""What DNS has is compared by meaning, and what nobody could say is not called missing."""

from collections.abc import AsyncIterator

import pytest

from paquebot_operator.publish.questions import Answer
from paquebot_operator.publish.records import DnsRecord, Purpose
from paquebot_operator.publish.resolver import DnsAsker, open_asker
from paquebot_operator.publish.states import check, judge
from tests.support.dns_server import DnsServer, Fault

MX = DnsRecord("MX", "example.test", "MX", "10 mail.example.test")
SPF = DnsRecord("SPF", "example.test", "TXT", "v=spf1 mx -all")
DKIM = DnsRecord("DKIM", "s1._domainkey.example.test", "TXT", "v=DKIM1; k=rsa; p=" + "A" * 392)
DMARC = DnsRecord("DMARC", "_dmarc.example.test", "TXT", "v=DMARC1; p=none")
RECORDS = (MX, SPF, DKIM, DMARC)


@pytest.fixture
async def server() -> AsyncIterator[DnsServer]:
    async with DnsServer({}) as running:
        yield running


@pytest.fixture
async def asker(server: DnsServer) -> DnsAsker:
    return await open_asker((f"127.0.0.1:{server.port}",), timeout_seconds=0.5)


def quoted(text: str) -> str:
    return " ".join(f'"{text[start : start + 255]}"' for start in range(0, len(text), 255))


def text_answer(*texts: str) -> Answer:
    return Answer("Found", texts) if texts else Answer("Absent")


def state(purpose: Purpose, value: str, *found: str) -> str:
    return judge(DnsRecord(purpose, "example.test", "TXT", value), text_answer(*found)).state


async def test_records_that_are_there_are_present(server: DnsServer, asker: DnsAsker) -> None:
    server.change(
        {
            "example.test": {"MX": ["10 MAIL.example.test."], "TXT": [quoted(SPF.value), quoted("other=1")]},
            DKIM.name: {"TXT": [quoted(DKIM.value)]},
            "_dmarc.example.test": {"CNAME": ["policy.example.test."]},
            "policy.example.test": {"TXT": [quoted(DMARC.value)]},
        }
    )
    assert [each.state for each in await check(RECORDS, asker)] == ["Present"] * 4
    assert server.queries["example.test", "TXT"] == 1


async def test_records_that_are_not_there_are_missing(server: DnsServer, asker: DnsAsker) -> None:
    server.change({"example.test": {"TXT": ['"google-site-verification=1"']}})
    assert [each.state for each in await check(RECORDS, asker)] == ["Missing"] * 4


async def test_what_is_there_instead_is_told(server: DnsServer, asker: DnsAsker) -> None:
    server.change({"example.test": {"MX": ["5 old.example.test."], "TXT": ['"v=spf1 ip4:192.0.2.1 ~all"']}})
    mx, spf = await check((MX, SPF), asker)
    assert (mx.state, mx.found) == ("Different", "5 old.example.test")
    assert (spf.state, spf.found) == ("Different", "v=spf1 ip4:192.0.2.1 ~all")


@pytest.mark.parametrize("fault", [Fault.SERVFAIL, Fault.REFUSED, Fault.TIMEOUT, Fault.GARBAGE, Fault.WRONG_ID])
async def test_what_nobody_could_say_is_unknown(server: DnsServer, asker: DnsAsker, fault: Fault) -> None:
    server.faults["example.test"] = fault
    (found,) = await check((SPF,), asker)
    assert found.state == "Unknown"
    assert found.found


async def test_a_long_record_is_asked_for_over_tcp(server: DnsServer, asker: DnsAsker) -> None:
    server.change({DKIM.name: {"TXT": [quoted(DKIM.value)]}})
    server.faults[DKIM.name] = Fault.TRUNCATED
    (found,) = await check((DKIM,), asker)
    assert found.state == "Present"
    assert server.tcp_queries == 1


async def test_a_name_that_cannot_be_asked_for_is_unknown(asker: DnsAsker) -> None:
    (found,) = await check((DnsRecord("SPF", "a" * 70 + ".test", "TXT", "v=spf1 -all"),), asker)
    assert found.state == "Unknown"


@pytest.mark.parametrize("text", ["nobody", "localhost:53", "192.0.2.1:dns", "[2001:db8::1"])
async def test_a_server_that_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not the address"):
        await open_asker((text,))


async def test_other_mail_hosts_are_the_domains_own_business() -> None:
    assert judge(MX, Answer("Found", ("10 mail.example.test", "20 backup.example.test"))).state == "Present"


@pytest.mark.parametrize(
    ("purpose", "value", "found", "expected"),
    [
        ("SPF", "v=spf1 mx -all", ("V=SPF1  mx -all",), "Present"),
        ("SPF", "v=spf1 mx -all", ("v=spf1 -all mx",), "Different"),
        ("SPF", "v=spf1 mx -all", ("v=spf1 mx -all", "v=spf1 -all"), "Different"),
        ("SPF", "v=spf1 mx -all", ("v=spf10 mx -all",), "Missing"),
        ("DKIM", "v=DKIM1; k=rsa; p=AB", ("k=rsa;v=DKIM1;p=A B",), "Present"),
        ("DKIM", "v=DKIM1; k=rsa; p=AB", ("v=DKIM1; k=rsa; p=CD",), "Different"),
        ("DMARC", "v=DMARC1; p=none", ("v=DMARC1;p=none;",), "Present"),
        ("DMARC", "v=DMARC1; p=none", ("v=DMARC1; p=reject",), "Different"),
        ("TLSRPT", "v=TLSRPTv1; rua=mailto:a@b.test", (), "Missing"),
        ("MTA-STS", "v=STSv1; id=1;", ("v=STSv1; id=2",), "Different"),
    ],
)
def test_texts_are_compared_by_meaning(purpose: Purpose, value: str, found: tuple[str, ...], expected: str) -> None:
    assert state(purpose, value, *found) == expected


async def test_what_strangers_wrote_is_fit_for_a_status(server: DnsServer, asker: DnsAsker) -> None:
    server.change(
        {"example.test": {"TXT": ['"v=spf1 \\010\\027[2J' + "x" * 200 + '"'] + ['"v=spf1 ' + "y" * 240 + '"'] * 9}}
    )
    (found,) = await check((SPF,), asker)
    assert found.state == "Different"
    assert found.found.isprintable()
    assert len(found.found) <= 1_024
