"""Each real peer does what the integration tests rely on, proved with another real peer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.certificates import CertificateAuthority, CertificateFiles
from tests.support.dovecot import DovecotSettings, running_dovecot
from tests.support.fake_mx import FakeMx
from tests.support.fake_mx_script import Script
from tests.support.loop_thread import in_thread
from tests.support.postfix import Postfix, running_postfix
from tests.support.postfix_config import PostfixSettings, benchmark_settings
from tests.support.processes import PeerError, PeerProcess, free_port, peer_directory, wait_until
from tests.support.requirements import needs_programs
from tests.support.smtp_client import SmtpClient
from tests.support.smtp_tools import SmtpSink, SourceLoad, run_source, running_sink, start_source, swaks

pytestmark = [
    pytest.mark.integration,
    needs_programs("postfix", "dovecot", "swaks", "smtp-source", "smtp-sink", as_root=True),
]

ALICE = "alice@example.test"
CONTENT = b"Subject: hello\r\n\r\n.dot\r\nbody\r\n"


@pytest.fixture(scope="module")
def directory() -> Iterator[Path]:
    with peer_directory() as path:
        yield path


@pytest.fixture(scope="module")
def certificate(directory: Path) -> CertificateFiles:
    return CertificateAuthority(directory).issue("postfix.test", "localhost", "127.0.0.1")


@pytest.fixture(scope="module")
def sink(directory: Path) -> Iterator[SmtpSink]:
    with running_sink(directory / "sink", keeps_messages=True) as running:
        yield running


@pytest.fixture(scope="module")
def postfix(directory: Path, certificate: CertificateFiles, sink: SmtpSink) -> Iterator[Postfix]:
    settings = PostfixSettings(
        mailbox_domains=("example.test",),
        relay_port=sink.port,
        certificate=certificate,
        message_size_limit_bytes=50_000,
    )
    with running_postfix(directory / "postfix", settings) as running:
        yield running


def test_postfix_delivers_what_swaks_sends_to_its_maildir(postfix: Postfix) -> None:
    swaks(postfix.port, "a@client.test", [ALICE, "bob@example.test"], content=CONTENT).checked()
    (message,) = postfix.wait_for_delivered(ALICE)
    assert message.startswith(b"Return-Path: <a@client.test>\n")
    assert message.endswith(b"\n\n.dot\nbody\n")
    assert len(postfix.wait_for_delivered("bob@example.test")) == 1


def test_postfix_takes_mail_over_tls(postfix: Postfix, certificate: CertificateFiles) -> None:
    authority = ["--tls-ca-path", str(certificate.authority), "--tls-verify"]
    run = swaks(postfix.port, "a@client.test", ["tls@example.test"], "--tls", *authority).checked()
    assert "TLS started" in run.transcript
    assert b"with ESMTPS" in postfix.wait_for_delivered("tls@example.test")[0]


def test_postfix_submits_and_relays_to_the_sink(postfix: Postfix, sink: SmtpSink) -> None:
    before = sink.count()
    postfix.send("a@client.test", ["far@relay.test"], b"Subject: out\n\nmarker-out\n")
    sink.wait_for_count(before + 1)
    assert any(b"marker-out" in message and b"<far@relay.test>" in message for message in sink.dumped())
    postfix.wait_for_empty_queue()


def test_postfix_answers_a_recipient_as_asked_from_the_next_connection_on(postfix: Postfix) -> None:
    postfix.answer_recipients({"no@example.test": "550 5.1.1 nobody", "later@example.test": "450 4.2.1 later"})
    assert "550 5.1.1" in swaks(postfix.port, "a@client.test", ["no@example.test"]).transcript
    assert "450 4.2.1" in swaks(postfix.port, "a@client.test", ["later@example.test"]).transcript
    postfix.answer_recipients({})
    swaks(postfix.port, "a@client.test", ["later@example.test"]).checked()


def test_postfix_refuses_a_message_over_its_limit(postfix: Postfix) -> None:
    with SmtpClient(postfix.port) as client:
        client.expect("220")
        assert "SIZE 50000" in client.command("EHLO client.test", "250").texts
        client.command("MAIL FROM:<a@client.test> SIZE=50001", "552")


def test_postfix_keeps_and_retries_what_its_next_hop_defers(directory: Path) -> None:
    port = free_port()
    with running_postfix(directory / "retry", PostfixSettings(relay_port=port, offers_dsn=False)) as postfix:
        with SmtpClient(postfix.port) as client:
            client.expect("220")
            assert "DSN" not in client.command("EHLO client.test", "250").texts
        postfix.send("a@client.test", ["b@relay.test"], b"Subject: x\n\nx\n")
        postfix.process.wait_for(lambda: any(m.recipients[0].delay_reason for m in postfix.queue()), "a deferral")
        assert postfix.queue()[0].recipients[0].address == "b@relay.test"
        with running_sink(directory / "late-sink", port=port) as sink:
            sink.wait_for_count(1, timeout_seconds=20)
            postfix.wait_for_empty_queue()


def test_postfix_relays_over_tls_when_it_must(directory: Path, certificate: CertificateFiles) -> None:
    with in_thread(FakeMx(Script(tls=certificate.server_context()))) as server:
        settings = PostfixSettings(relay_port=server.port, outgoing_tls="encrypt")
        with running_postfix(directory / "tls-out", settings) as postfix:
            postfix.send("a@client.test", ["b@relay.test"], b"Subject: x\n\n.x\n", notify="success,delay")
            postfix.process.wait_for(lambda: bool(server.transactions), "a transaction")
    (transaction,) = server.transactions
    assert transaction.is_tls
    assert transaction.content.endswith(b"\r\n\r\n.x\r\n")
    assert "NOTIFY=SUCCESS,DELAY" in transaction.recipients[0].parameters


def test_postfix_with_the_benchmark_profile_relays_a_load(directory: Path) -> None:
    with (
        running_sink(directory / "fast-sink") as sink,
        running_postfix(directory / "fast", benchmark_settings(sink.port)) as postfix,
    ):
        for reuses in (False, True):
            run = run_source(postfix.port, SourceLoad(messages=100, reuses_connections=reuses))
            assert run.messages_per_second > 1
        sink.wait_for_count(200)


def test_dovecot_answers_each_recipient_for_itself(directory: Path, certificate: CertificateFiles) -> None:
    settings = DovecotSettings(
        full_users=("full@example.test",), broken_users=("broken@example.test",), certificate=certificate
    )
    people = [ALICE, "nobody@example.test", "full@example.test", "broken@example.test", "bob@example.test"]
    with running_dovecot(directory / "dovecot", settings) as dovecot:
        run = swaks(dovecot.port, "a@client.test", people, "--protocol", "LMTP", "--tls")
        for reply in ("550 5.1.1 <nobody", "552 5.2.2 <full", "451 4.3.0 <broken"):
            assert reply in run.transcript
        swaks(dovecot.socket_path, "a@client.test", [ALICE], "--protocol", "LMTP", content=CONTENT).checked()
        assert dovecot.wait_for_delivered(ALICE, 2)[1].endswith(b"\n\n.dot\nbody\n")
        assert len(dovecot.delivered("bob@example.test")) == 1
        assert dovecot.delivered("full@example.test") == []


def test_dovecot_can_fail_one_recipient_after_the_content(directory: Path) -> None:
    settings = DovecotSettings(full_users=("full@example.test",), checks_quota_at_rcpt=False, full_is_temporary=True)
    with running_dovecot(directory / "dovecot-late", settings) as dovecot, SmtpClient(dovecot.port) as client:
        client.expect("220")
        client.command("LHLO client.test", "250")
        client.command("MAIL FROM:<a@client.test>", "250")
        client.command(f"RCPT TO:<{ALICE}>", "250")
        client.command("RCPT TO:<full@example.test>", "250")
        client.command("DATA", "354")
        client.send(CONTENT.replace(b"\r\n.dot", b"\r\n..dot") + b".\r\n")
        client.expect("250 2.0.0")
        client.expect("452 4.2.2")


def test_a_sink_misbehaves_as_asked_and_a_source_stops_at_it(directory: Path) -> None:
    with running_sink(directory / "bad-sink", options=("-r", "RCPT")) as sink:
        with pytest.raises(PeerError, match="smtp-source"):
            run_source(sink.port, SourceLoad(messages=1))
        assert sink.count() == 0


def test_a_load_can_go_on_in_the_background(sink: SmtpSink, directory: Path) -> None:
    before = sink.count()
    with start_source(sink.port, SourceLoad(sessions=2, messages=20), directory / "source.log") as source:
        assert source.wait() == 0
    sink.wait_for_count(before + 20)


def test_a_missing_program_is_named_in_the_skip() -> None:
    mark = needs_programs("sh", "no-such-program").mark
    assert mark.args == (True,)
    assert "lacks no-such-program;" in mark.kwargs["reason"]


def test_a_peer_that_does_not_start_shows_its_log(tmp_path: Path) -> None:
    with (
        PeerProcess(["sh", "-c", "echo the reason; exit 3"], tmp_path / "log") as process,
        pytest.raises(PeerError, match=r"(?s)ended with 3.*the reason"),
    ):
        process.wait_for_port(free_port())


def test_a_peer_that_ignores_sigterm_is_killed_with_its_children(tmp_path: Path) -> None:
    script = "trap '' TERM; sleep 60 & echo child $!; wait; wait"
    with PeerProcess(["sh", "-c", script], tmp_path / "log") as process:
        child = int(process.wait_for_log(r"child (\d+)")[1])
        assert process.terminate(grace_seconds=0.1) == -9
    # The kernel takes a moment between the signal and the end of a process that nobody here waits for.
    wait_until(lambda: _has_ended(child), "the end of the killed peer's child", 5.0)


def _has_ended(pid: int) -> bool:
    """Tell whether a process is gone, or a zombie that nobody has waited for."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_a_directory_that_others_can_not_traverse_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    with pytest.raises(PeerError, match="closed to other users"), running_postfix(tmp_path / "postfix"):
        pass
