"""Rules of which envelopes travel together."""

from paquebot_mta.dispatch.groups import Destination, group
from tests.mta.dispatch.samples import config, envelope, stored


def test_relayed_mail_is_grouped_by_the_recipients_domain() -> None:
    mail = stored(envelope(1, "a@one.test"), envelope(2, "b@two.test"), envelope(3, "c@one.test"))
    groups = list(group(mail, mail.states, config()))
    assert [(each.destination, len(each.envelopes)) for each in groups] == [
        (Destination("out", "one.test"), 2),
        (Destination("out", "two.test"), 1),
    ]


def test_a_smarthost_takes_all_domains_in_one_transaction() -> None:
    mail = stored(envelope(1, "a@one.test", "smart"), envelope(2, "b@two.test", "smart"))
    assert [len(each.envelopes) for each in group(mail, mail.states, config())] == [2]


def test_only_due_envelopes_travel() -> None:
    mail = stored(envelope(1, "a@one.test"), envelope(2, "b@one.test"))
    (only,) = group(mail, [mail.message.envelopes[1].evpid], config())
    assert [each.destination for each in only.envelopes] == ["b@one.test"]


def test_a_transaction_has_a_bounded_number_of_recipients() -> None:
    mail = stored(*(envelope(number, f"u{number}@one.test") for number in range(1, 6)))
    groups = group(mail, mail.states, config(recipients_per_transaction=2))
    assert [len(each.envelopes) for each in groups] == [2, 2, 1]


def test_a_sender_override_keeps_the_local_part_if_only_a_domain_is_given() -> None:
    mail = stored(envelope(1, "a@one.test"))
    (only,) = group(mail, mail.states, config(mail_from="@relay.test"))
    assert only.reverse_path == "joe@relay.test"


def test_a_null_reverse_path_is_never_overridden() -> None:
    mail = stored(envelope(1, "a@one.test"), reverse_path="")
    (only,) = group(mail, mail.states, config(mail_from="someone@relay.test"))
    assert only.reverse_path == ""


def test_an_action_is_looked_up_when_mail_is_delivered_not_when_it_is_accepted() -> None:
    mail = stored(envelope(1, "a@one.test", "gone"), envelope(2, "alice@local.test", "domain:local.test"))
    gone, local = group(mail, mail.states, config())
    assert gone.action is None
    assert local.transport == "maildir"
