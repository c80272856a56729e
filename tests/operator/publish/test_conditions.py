"""DNSReady and DKIMReady answer what to do next."""

from paquebot_operator.publish.conditions import (
    dkim_condition,
    dns_condition,
    not_checked,
    published_selectors,
    record_statuses,
)
from paquebot_operator.publish.dkim_record import DkimKey
from paquebot_operator.publish.managed_keys import DkimKeys
from paquebot_operator.publish.records import DnsRecord
from paquebot_operator.publish.states import RecordState, State
from tests.operator.publish.domains import mail_domain

SPF = DnsRecord("SPF", "example.test", "TXT", "v=spf1 mx -all")
DKIM = DnsRecord("DKIM", "s1._domainkey.example.test", "TXT", "v=DKIM1; k=rsa; p=A")
KEYS = DkimKeys((DkimKey("s1", "rsa", "A"),), "s1")
SIGNED = mail_domain(dkim={"mode": "Managed"})


def ready(*states: State) -> tuple[str, str]:
    found = dns_condition(tuple(RecordState(SPF, state, "no answer") for state in states))
    return found.status, found.reason


def signs(state: State) -> tuple[str, str]:
    found = dkim_condition(SIGNED, KEYS, (RecordState(SPF, "Present"), RecordState(DKIM, state, "no answer")))
    assert found is not None
    return found.status, found.reason


def test_dns_is_ready_when_every_record_is_there() -> None:
    assert ready("Present", "Present") == ("True", "DNSReady")


def test_the_worst_is_told_first() -> None:
    assert ready("Present", "Missing", "Different", "Unknown") == ("False", "RecordDifferent")
    assert ready("Present", "Missing", "Unknown") == ("False", "RecordMissing")
    assert ready("Present", "Unknown") == ("Unknown", "LookupFailed")


def test_records_are_told_before_anybody_looked() -> None:
    states = not_checked((SPF, DKIM))
    assert dns_condition(states).reason == "NotChecked"
    assert dns_condition(()).reason == "NotChecked"
    assert [(each.value, each.present) for each in record_statuses(states)] == [
        (SPF.value, "Unknown"),
        (DKIM.value, "Unknown"),
    ]


def test_a_message_names_records_and_stays_short() -> None:
    message = dns_condition(tuple(RecordState(SPF, "Missing") for _ in range(20))).message
    assert message.startswith("SPF example.test, ")
    assert "and 12 more" in message


def test_dkim_is_ready_when_the_signing_keys_record_is_there() -> None:
    assert signs("Present") == ("True", "DKIMReady")
    assert signs("Missing") == ("False", "RecordMissing")
    assert signs("Different") == ("False", "RecordDifferent")
    assert signs("Unknown") == ("Unknown", "LookupFailed")


def test_a_key_whose_record_nobody_looked_up_is_not_called_a_failed_look_up() -> None:
    found = dkim_condition(SIGNED, KEYS, not_checked((SPF, DKIM)))
    assert found is not None
    assert (found.status, found.reason) == ("Unknown", "NotChecked")
    assert found.message == "the record of selector s1 was not looked up: see spec.dnsCheck of the MailService"


def test_a_domain_without_a_key_says_why() -> None:
    found = dkim_condition(SIGNED, DkimKeys(trouble="the Secret is not there"), ())
    assert found is not None
    assert (found.status, found.reason, found.message) == ("False", "NoKey", "the Secret is not there")
    assert dkim_condition(mail_domain(), DkimKeys(), ()) is None


def test_only_selectors_that_were_found_count() -> None:
    states = (RecordState(DKIM, "Present"), RecordState(SPF, "Present"))
    assert published_selectors(states) == {"s1"}
    assert published_selectors((RecordState(DKIM, "Different"),)) == frozenset()
