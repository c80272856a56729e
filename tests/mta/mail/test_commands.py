"""Commands and their parameters: the RFCs' grammar, refused with the right reply."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paquebot_mta.mail.address import Address
from paquebot_mta.mail.commands import (
    Chunk,
    Command,
    Mail,
    Recipient,
    parse_chunk,
    parse_command,
    parse_host,
    parse_mail,
    parse_recipient,
)
from paquebot_mta.mail.envelope import Notify
from paquebot_mta.mail.parameters import CommandError

ALICE = Address("alice", "example.test")


def _mail(argument: str, *, dsn: bool = True) -> Mail | int:
    try:
        return parse_mail(argument, dsn=dsn)
    except CommandError as error:
        return error.reply.code


def _recipient(argument: str, *, dsn: bool = True, smtputf8: bool = False) -> Recipient | int:
    try:
        return parse_recipient(argument, dsn=dsn, smtputf8=smtputf8, postmaster_domain="mx.example.test")
    except CommandError as error:
        return error.reply.code


def test_the_verb_is_folded_and_the_argument_kept() -> None:
    assert parse_command(b"mail FROM:<Alice@Example.test> ") == Command("MAIL", "FROM:<Alice@Example.test>")


@pytest.mark.parametrize("line", [b"EHLO a\rX: 1", b"EHLO \x1b[31m", b"EHLO \0", b"NOOP \xff", b"EHLO a\tb", b"\x7f"])
def test_control_characters_and_broken_utf8_are_refused(line: bytes) -> None:
    with pytest.raises(CommandError) as caught:
        parse_command(line)
    assert caught.value.reply.code == 501


@pytest.mark.parametrize("name", ["client.example", "[192.0.2.1]", "[IPv6:2001:db8::1]", "under_score", "localhost"])
def test_host_names_of_honest_clients_are_taken(name: str) -> None:
    assert parse_host(name) == name


@pytest.mark.parametrize("name", ["", "a b", "a(b)", "x" * 256, "a;b", "<a>"])
def test_host_names_that_could_forge_a_trace_are_refused(name: str) -> None:
    with pytest.raises(CommandError):
        parse_host(name)


@pytest.mark.parametrize("argument", ["FROM:<alice@example.test>", "from: <alice@example.test>"])
def test_mail_names_the_reverse_path(argument: str) -> None:
    assert _mail(argument) == Mail(ALICE)


def test_the_null_reverse_path_is_none() -> None:
    assert _mail("FROM:<>") == Mail(None)


def test_mail_keeps_the_case_of_values() -> None:
    assert _mail(
        "FROM:<alice@example.test> size=10 BODY=8bitmime SMTPUTF8 RET=hdrs ENVID=Ab+2Bc AUTH=Bob@x.test"
    ) == Mail(
        ALICE,
        size=10,
        body="8BITMIME",
        smtputf8=True,
        dsn_return="HDRS",
        dsn_envelope_id="Ab+2Bc",
        submitter="Bob@x.test",
    )


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ("SIZE=-1", 501),
        ("SIZE=", 501),
        ("SIZE", 501),
        ("SIZE=٣", 501),
        ("SIZE=1" + "0" * 5000, 501),
        ("SIZE=1 SIZE=2", 501),
        ("BODY=BINARYMIME", 501),
        ("SMTPUTF8=1", 501),
        ("RET=ALL", 501),
        ("ENVID=a+0", 501),
        ("ENVID=a+0d", 501),
        ("ENVID=" + "x" * 101, 501),
        ("ENVID=a=b", 501),
        ("AUTH=" + "x" * 501, 501),
        ("X-OTHER=1", 555),
        ("-x", 501),
    ],
)
def test_options_of_mail_that_can_not_be_served_are_refused(options: str, code: int) -> None:
    assert _mail(f"FROM:<alice@example.test> {options}") == code


def test_a_submitter_may_be_unknown() -> None:
    assert _mail("FROM:<> AUTH=<>") == Mail(None, submitter="<>")


@pytest.mark.parametrize("argument", ["", "FROM", "FROM:", "TO:<a@b>", "FROM:a@b", "FROM:<a@b", "FROM:<a@b>SIZE=1"])
def test_mail_without_a_path_is_a_syntax_error(argument: str) -> None:
    assert _mail(argument) == 501


@pytest.mark.parametrize("path", ["<a..b@x.test>", "<@r.test:a@x.test>", "<a@b(c)>", "<a>", "<a b@x.test>"])
def test_mail_with_a_bad_address_is_553(path: str) -> None:
    assert _mail(f"FROM:{path}") == 553


def test_quoted_brackets_and_spaces_do_not_end_the_path() -> None:
    assert _mail('FROM:<"a> b\\""@example.test> SIZE=1') == Mail(Address('a> b"', "example.test"), size=1)


def test_utf8_addresses_need_smtputf8() -> None:
    assert _mail("FROM:<é@example.test>") == 553
    assert _mail("FROM:<é@example.test> SMTPUTF8") == Mail(Address("é", "example.test"), smtputf8=True)
    assert _recipient("TO:<é@example.test>") == 553
    assert _recipient("TO:<é@example.test>", smtputf8=True) == Recipient(Address("é", "example.test"))


def test_rcpt_keeps_what_dsn_needs() -> None:
    assert _recipient("TO:<alice@example.test> NOTIFY=success,DELAY ORCPT=rfc822;Al+2Bice@x.test") == Recipient(
        ALICE, Notify.SUCCESS | Notify.DELAY, "rfc822;Al+2Bice@x.test"
    )


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ("NOTIFY=NEVER,DELAY", 553),
        ("NOTIFY=", 501),
        ("NOTIFY=SOMETIMES", 553),
        ("ORCPT=rfc822", 553),
        ("ORCPT=rfc822;a+0z", 553),
        ("ORCPT=rfc822;" + "x" * 500, 553),
        ("SIZE=1", 555),
    ],
)
def test_options_of_rcpt_that_can_not_be_served_are_refused(options: str, code: int) -> None:
    assert _recipient(f"TO:<alice@example.test> {options}") == code


def test_without_dsn_its_options_are_unknown() -> None:
    assert _mail("FROM:<> RET=FULL", dsn=False) == 555
    assert _recipient("TO:<alice@example.test> NOTIFY=NEVER", dsn=False) == 555


def test_the_null_path_receives_nothing() -> None:
    assert _recipient("TO:<>") == 553


def test_postmaster_needs_no_domain() -> None:
    assert _recipient("TO:<Postmaster>") == Recipient(Address("Postmaster", "mx.example.test"))


def test_bdat_counts_bytes() -> None:
    assert parse_chunk("86") == Chunk(86, last=False)
    assert parse_chunk("0 last") == Chunk(0, last=True)


@pytest.mark.parametrize("argument", ["", "LAST", "-1", "٣", "1 2", "1 LAST x", "9" * 21])
def test_bdat_without_a_count_is_refused(argument: str) -> None:
    with pytest.raises(CommandError):
        parse_chunk(argument)


@given(st.binary(max_size=200))
def test_any_line_is_a_command_or_a_command_error(line: bytes) -> None:
    try:
        command = parse_command(line)
    except CommandError:
        return
    _mail(command.argument)
    _mail(f"FROM:<{command.argument}>")
    _recipient(f"TO:<alice@example.test> {command.argument}")
