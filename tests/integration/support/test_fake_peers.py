"""The scripted peers do what their scripts say: fake DNS, fake MX, raw client, dialog files."""

from __future__ import annotations

import asyncio
import contextlib
import smtplib
import ssl
from collections.abc import Mapping
from pathlib import Path

import dns.asyncquery
import dns.exception
import dns.flags
import dns.message
import dns.query
import dns.rcode
import pytest

from tests.support.certificates import CertificateAuthority, CertificateFiles
from tests.support.dialogs import parse_dialog, run_dialog, unescape
from tests.support.dns_server import DnsServer, Fault
from tests.support.fake_mx import FakeMx
from tests.support.fake_mx_script import DROP, RESET, STALL, Answer, Script, Steps, Then
from tests.support.loop_thread import in_thread
from tests.support.requirements import needs_programs
from tests.support.smtp_client import DialogError, SmtpClient
from tests.support.smtp_tools import swaks

pytestmark = pytest.mark.integration

ZONES = {
    "example.test": {"MX": ["10 mx.example.test.", "20 mx2.example.test."], "TXT": ['"v=spf1 -all"']},
    "mx.example.test": {"A": ["127.0.0.1"], "AAAA": ["::1"]},
    "www.example.test": {"CNAME": ["mx.example.test."]},
    "1.0.0.127.in-addr.arpa": {"PTR": ["mx.example.test."]},
    "big.example.test": {"TXT": [f'"{number:0200d}"' for number in range(20)]},
}
CONTENT = b"Subject: x\r\n\r\n.dot\r\n..\r\nbody\r\n"


def query(server: DnsServer, name: str, kind: str) -> dns.message.Message:
    return dns.query.udp(dns.message.make_query(name, kind), server.address[0], timeout=0.3, port=server.port)


def answers(message: dns.message.Message) -> set[str]:
    # Names may come in the case of the question, where the message is compressed.
    return {record.to_text().lower() for rrset in message.answer for record in rrset}


def test_dns_answers_from_its_zones() -> None:
    with in_thread(DnsServer(ZONES)) as server:
        assert answers(query(server, "Example.test", "MX")) == {"10 mx.example.test.", "20 mx2.example.test."}
        assert answers(query(server, "www.example.test", "AAAA")) == {"mx.example.test.", "::1"}
        assert answers(query(server, "1.0.0.127.in-addr.arpa", "PTR")) == {"mx.example.test."}
        assert query(server, "nowhere.test", "A").rcode() == dns.rcode.NXDOMAIN
        no_data = query(server, "example.test", "A")
        assert no_data.rcode() == dns.rcode.NOERROR
        assert not no_data.answer
        assert server.queries["example.test", "MX"] == 1
        server.change({"nowhere.test": {"A": ["127.0.0.9"]}})
        assert answers(query(server, "nowhere.test", "A")) == {"127.0.0.9"}


def test_dns_truncates_what_is_too_big_for_udp_and_tells_it_over_tcp() -> None:
    with in_thread(DnsServer(ZONES)) as server:
        assert query(server, "big.example.test", "TXT").flags & dns.flags.TC
        whole = dns.query.tcp(
            dns.message.make_query("big.example.test", "TXT"), server.address[0], timeout=2, port=server.port
        )
        assert len(answers(whole)) == 20
        assert server.tcp_queries == 1


async def test_dns_misbehaves_as_asked() -> None:
    async with DnsServer(ZONES, is_authentic=True) as server:

        async def ask() -> dns.message.Message:
            question = dns.message.make_query("mx.example.test", "A")
            return await dns.asyncquery.udp(question, server.address[0], timeout=0.1, port=server.port)

        assert (await ask()).flags & dns.flags.AD
        for fault, code in ((Fault.SERVFAIL, dns.rcode.SERVFAIL), (Fault.REFUSED, dns.rcode.REFUSED)):
            server.faults["mx.example.test"] = fault
            assert (await ask()).rcode() == code
        server.faults["mx.example.test"] = Fault.TRUNCATED
        assert (await ask()).flags & dns.flags.TC
        for fault in (Fault.TIMEOUT, Fault.WRONG_ID, Fault.WRONG_QUESTION, Fault.GARBAGE):
            server.faults["mx.example.test"] = fault
            with pytest.raises((dns.exception.DNSException, OSError)):
                await ask()


def test_fake_mx_records_what_a_foreign_client_sends(tmp_path: Path) -> None:
    files = CertificateAuthority(tmp_path).issue("mx.test")
    replies: Mapping[str, Steps] = {"RCPT no@far.test": "550 5.1.1 nobody"}
    with in_thread(FakeMx(Script(replies, tls=files.server_context()))) as server:
        with smtplib.SMTP("127.0.0.1", server.port, "client.test") as client:
            client.starttls(context=_trusting(files))
            refused = client.sendmail("a@b.test", ["c@far.test", "no@far.test"], CONTENT, ["BODY=8BITMIME"])
        assert refused == {"no@far.test": (550, b"5.1.1 nobody")}
    (transaction,) = server.transactions
    assert (transaction.sender.address, transaction.addresses) == ("a@b.test", ("c@far.test",))
    assert "BODY=8BITMIME" in transaction.sender.parameters
    assert (transaction.content, transaction.is_tls) == (CONTENT, True)
    assert server.sessions[0].violations == []


def _trusting(files: CertificateFiles) -> ssl.SSLContext:
    context = files.client_context()
    context.check_hostname = False
    return context


@needs_programs("swaks")
def test_fake_mx_speaks_lmtp_on_a_unix_socket(tmp_path: Path) -> None:
    script = Script({"DOT b@far.test": "452 4.2.2 full"}, is_lmtp=True)
    with in_thread(FakeMx(script, socket_path=tmp_path / "l")) as server:
        run = swaks(tmp_path / "l", "a@b.test", ["c@far.test", "b@far.test"], "--protocol", "LMTP", content=CONTENT)
    assert "452 4.2.2 full" in run.transcript
    assert server.contents == [CONTENT]
    assert server.transactions[0].replies == ("250 2.0.0 taken", "452 4.2.2 full")


async def test_fake_mx_gives_each_answer_of_a_list_once_and_the_last_for_ever() -> None:
    async with FakeMx(Script({"MAIL": ["451 4.3.0 later", Answer("250 ok", delay_seconds=0.01)]})) as server:
        transcript = await asyncio.to_thread(_dialog, server.port, ["MAIL FROM:<a@b.test>"] * 3)
    assert [line[:6] for line in transcript if line.startswith("S")][-3:] == ["S: 451", "S: 250", "S: 250"]


def _dialog(port: int, commands: list[str]) -> list[str]:
    with SmtpClient(port) as client:
        client.expect("220")
        for command in ["EHLO client.test", *commands]:
            client.line(command)
            client.reply()
        return client.transcript


@pytest.mark.parametrize("phase", ["CONNECT", "BANNER", "EHLO", "MAIL", "RCPT", "DATA", "BODY", "DOT"])
@pytest.mark.parametrize("end", [DROP, RESET], ids=["drop", "reset"])
def test_fake_mx_breaks_off_at_any_phase(phase: str, end: Answer) -> None:
    with in_thread(FakeMx(Script({phase: end}))) as server, pytest.raises(DialogError):
        _send(server.port)
    assert len(server.transactions) == (phase == "DOT")
    assert server.open_sessions == 0


def _send(port: int) -> None:
    # A reset may come before the connection is of any use.
    try:
        client = SmtpClient(port, timeout_seconds=0.5)
    except OSError as error:
        raise DialogError(str(error)) from error
    with client:
        client.expect("220")
        client.command("EHLO client.test", "250")
        client.command("MAIL FROM:<a@b.test>", "250")
        client.command("RCPT TO:<c@far.test>", "250")
        client.command("DATA", "354")
        client.send(CONTENT.replace(b"\r\n.", b"\r\n..") + b".\r\n")
        client.expect("250")


def test_fake_mx_stalls_and_lies() -> None:
    script = Script({"DOT": STALL, "NOOP": "999 what", "RSET": Answer("250 ok", Then.CLOSE)})
    with in_thread(FakeMx(script)) as server:
        with pytest.raises(DialogError, match="TimeoutError"):
            _send(server.port)
        with pytest.raises(DialogError, match="no reply line"):
            _dialog(server.port, ["NOOP"])
        with contextlib.suppress(DialogError):
            _dialog(server.port, ["RSET", "NOOP"])
        assert [session.verbs() for session in server.sessions][2] == ["EHLO", "RSET"]


def test_fake_mx_notes_pipelining_where_it_was_not_offered_and_the_most_connections() -> None:
    with in_thread(FakeMx(Script(extensions=()))) as server:
        with SmtpClient(server.port) as one, SmtpClient(server.port) as two:
            one.expect("220")
            two.expect("220")
            one.send(b"EHLO a.test\r\nNOOP\r\n")
            one.expect("250")
            one.expect("250")
        assert server.most_open == 2
        assert server.sessions[0].violations


def test_fake_mx_takes_chunks() -> None:
    with in_thread(FakeMx()) as server, SmtpClient(server.port) as client:
        client.expect("220")
        client.send(b'EHLO a.test\r\nMAIL FROM:<>\r\nRCPT TO:<"a > b"@far.test> NOTIFY=NEVER\r\n')
        for _ in range(3):
            client.expect("250")
        client.send(b"BDAT 3\r\na\r\nBDAT 2 LAST\r\n\x00.")
        client.expect("250 2.0.0 chunk")
        client.expect("250 2.0.0 taken")
    assert server.contents == [b"a\r\n\x00."]
    assert server.transactions[0].addresses == ('"a > b"@far.test',)
    assert server.transactions[0].recipients[0].parameters == ("NOTIFY=NEVER",)


DIALOG = r"""
# every kind of line once
S: 220 mx.test
C: EHLO client.test
S: 250
S+ SIZE \d+
S! AUTH.*
C: STARTTLS
S: 220
TLS mx.test
C: EHLO client.test
S: 250
S! STARTTLS
C- MAIL FROM:<%{sender}>\r\nRCPT TO:<\{a*64}@far.test>\r\n
S: 250 2.1.0
S~ 250 2\.1\.5 .*
S0 0.02
C: QUIT
S: 221
S$
"""


def test_a_dialog_file_runs(tmp_path: Path) -> None:
    files = CertificateAuthority(tmp_path).issue("mx.test")
    path = tmp_path / "all.txt"
    path.write_text(DIALOG)
    with in_thread(FakeMx(Script(tls=files.server_context()))) as server:
        run_dialog(path, server.port, variables={"sender": "a@b.test"}, tls=files.client_context())
    assert server.sessions[0].commands[-2] == f"RCPT TO:<{'a' * 64}@far.test>"


@pytest.mark.parametrize(
    "line", ["S: 221", "S~ 22", "S! .*", "S+ nothing", "S0 0.01", "S$"], ids=["code", "regex", "not", "has", "0", "end"]
)
def test_a_dialog_that_differs_names_file_and_line(tmp_path: Path, line: str) -> None:
    path = tmp_path / "wrong.txt"
    first = "S: 220\n" if line[1] in "!+" else "\n"
    path.write_text(f"{first}{line}\n")
    with in_thread(FakeMx()) as server, pytest.raises(DialogError, match=r"wrong\.txt, line 2"):
        # The banner is on its way at once, also where silence or the end was expected.
        run_dialog(path, server.port)


def test_escapes_of_a_dialog_become_bytes() -> None:
    assert unescape(r"a\r\n\0\\\xff\{ab*2}é") == b"a\r\n\x00\\\xffabab\xc3\xa9"
    with pytest.raises(ValueError, match="unknown escape"):
        unescape(r"\q")


@pytest.mark.parametrize("line", ["X: 1", "C: %{nobody}"])
def test_a_wrong_dialog_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match="line 1"):
        parse_dialog(line)
