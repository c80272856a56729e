"""TLS: STARTTLS and from the first byte, on both loops; nothing said in the clear survives it."""

import asyncio
import ssl
import warnings
from contextlib import suppress

import msgspec
import pytest
import trustme
import uvloop
from cryptography import x509

from paquebot_mta.accept.policy import PolicyError
from paquebot_mta.config.listeners import Listener, ServerTls
from paquebot_mta.config.rates import Rates
from paquebot_mta.config.service import Certificate, Limits
from paquebot_mta.telemetry.events import LinkDisconnect, LinkTls, TlsFailure
from tests.mta.accept.conftest import Identity, issue
from tests.mta.accept.support import Client, Rules, make_policy, serve

OPTIONAL = Listener(name="mx", tls=ServerTls(mode="StartTLS", certificates=("main",)))
IMPLICIT = Listener(name="mx", tls=ServerTls(mode="Implicit", certificates=("main",)))
REQUIRED = Listener(name="mx", tls=ServerTls(mode="StartTLS", required=True, certificates=("main",)))


async def test_starttls_starts_anew_over_tls(identity: Identity) -> None:
    async with serve(OPTIONAL, certificates={"main": identity.certificate}) as served:
        client = await served.connect()
        assert "250-STARTTLS" in (await client.greet()).split("\n")
        await client.start_tls(identity.client())
        assert (await client.ask("MAIL FROM:<>")).startswith("503")
        extensions = (await client.ask("EHLO client.example")).split("\n")
        assert "250-STARTTLS" not in extensions
        assert (await client.ask("STARTTLS")).startswith("503")
        await client.envelope()
        assert (await client.data(b"a: b\r\n\r\n.\r\n")).startswith("250")
        ((message, content),) = served.spool.stored.values()
        (event,) = served.of(LinkTls)
        assert message.protocol == "ESMTPS"
        assert f"with ESMTPS id {message.msgid} ({event.version}:{event.cipher}:{event.bits}:NO)".encode() in content
        reports = served.reports()
        assert reports[reports.index("protocol-server|220 2.0.0 Ready to start TLS") + 1].startswith(
            "link-tls|TLSv1.3:"
        )


async def test_tls_from_the_first_byte_offers_no_starttls(identity: Identity) -> None:
    async with serve(IMPLICIT, certificates={"main": identity.certificate}) as served:
        client = await served.connect(tls=identity.client())
        assert "STARTTLS" not in await client.greet()
        await client.envelope()
        assert (await client.data(b"a: b\r\n\r\n.\r\n")).startswith("250")
        assert await client.ask("QUIT") == "221 2.0.0 Bye"
        await served.finished()
        assert [each.reason for each in served.of(LinkDisconnect)] == ["quit"]


@pytest.mark.parametrize("fast", [False, True], ids=["asyncio", "uvloop"])
def test_both_loops_speak_tls_in_both_ways(identity: Identity, fast: bool) -> None:
    async def converse() -> list[str]:
        listeners = (OPTIONAL, Listener(name="smtps", tls=IMPLICIT.tls))
        async with serve(*listeners, certificates={"main": identity.certificate}) as served:
            replies = []
            for name in ("mx", "smtps"):
                client = await served.connect(name, identity.client() if name == "smtps" else None)
                await client.greet()
                if name == "mx":
                    await client.start_tls(identity.client())
                    await client.ask("EHLO client.example")
                await client.envelope()
                replies.append((await client.data(b"a: b\r\n\r\n" + b"x" * 500_000 + b"\r\n.\r\n"))[:3])
                replies.append((await client.data_of_lines(500_000))[:3])
            return replies

    factory = uvloop.new_event_loop if fast else asyncio.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        assert runner.run(converse()) == ["554", "250", "554", "250"]


async def test_bytes_behind_starttls_are_refused_not_dropped(identity: Identity) -> None:
    async with serve(OPTIONAL, certificates={"main": identity.certificate}) as served:
        client = await served.greeted()
        assert (await client.ask("STARTTLS\r\nMAIL FROM:<evil@example.test>")).startswith("554 5.5.0")
        assert await client.closed()


async def test_mail_waits_for_tls_where_it_is_required(identity: Identity) -> None:
    async with serve(REQUIRED, certificates={"main": identity.certificate}) as served:
        client = await served.greeted()
        assert await client.ask("MAIL FROM:<>") == "530 5.7.0 Must issue a STARTTLS command first"
        assert served.spool.drafts == []


async def test_garbage_instead_of_a_handshake_ends_the_session(identity: Identity) -> None:
    async with serve(OPTIONAL, certificates={"main": identity.certificate}) as served:
        client = await served.greeted()
        await client.ask("STARTTLS")
        await client.send(b"EHLO still.plain\r\n" * 10)
        await served.finished()
        assert [each.reason for each in served.of(TlsFailure)] == ["protocol"]
        assert [each.reason for each in served.of(LinkDisconnect)] == ["tls"]


async def test_a_handshake_that_stalls_blocks_nobody_and_is_cut_off(identity: Identity) -> None:
    limits = Limits(handshake_timeout_seconds=1)
    async with serve(IMPLICIT, limits=limits, certificates={"main": identity.certificate}) as served:
        await served.connect()
        client = await served.connect(tls=identity.client())
        assert (await client.greet()).startswith("250")
        await client.ask("QUIT")
        await served.finished()
        assert [each.reason for each in served.of(TlsFailure)] == ["timeout"]


async def test_the_certificate_is_chosen_by_name(identity: Identity) -> None:
    authority = identity.authority
    certificates = {"main": issue(authority, "a.example.test"), "other": issue(authority, "*.other.test")}
    listener = Listener(name="mx", tls=ServerTls(mode="Implicit", certificates=("main", "other")))
    async with serve(listener, certificates=certificates) as served:
        host, _, port = served.acceptor.addresses()["mx"].rpartition(":")
        for name in ("a.example.test", "x.other.test"):
            streams = await asyncio.open_connection(host, int(port), ssl=identity.client(), server_hostname=name)
            assert (await streams[0].readline()).startswith(b"220")
            streams[1].close()


async def test_a_client_without_the_wanted_certificate_is_refused(identity: Identity) -> None:
    tls = ServerTls(mode="Implicit", certificates=("main",), verify_client="Required", client_ca="ca")
    bundle = Certificate(chain_pem=identity.authority.cert_pem.bytes().decode())
    async with serve(Listener(name="mx", tls=tls), certificates={"main": identity.certificate, "ca": bundle}) as served:
        known = identity.client()
        identity.authority.issue_cert("client.example").configure_cert(known)
        client = await served.connect(tls=known)
        await client.greet()
        await client.envelope()
        await client.data(b"a: b\r\n\r\n.\r\n")
        ((_, content),) = served.spool.stored.values()
        assert b":YES)" in content
        unknown = await served.connect(tls=identity.client())
        with suppress(ssl.SSLError, ConnectionError):
            assert await unknown.reply() == ""
        await served.until(lambda: len(served.of(TlsFailure)) == 1)


def test_a_certificate_that_can_not_be_loaded_names_its_listener() -> None:
    broken = issue(trustme.CA(), "a.test")
    for certificates in ({}, {"main": Certificate(chain_pem=broken.chain_pem, key_pem="nonsense")}):
        with pytest.raises(PolicyError, match="listener mx: certificate main"):
            make_policy(Rules(), OPTIONAL, certificates=certificates)


def _serial(client: Client) -> int:
    certificate = client.writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    return x509.load_der_x509_certificate(certificate).serial_number


def _serial_of(certificate: Certificate) -> int:
    return x509.load_pem_x509_certificate(certificate.chain_pem.encode()).serial_number


async def test_a_new_certificate_is_used_at_once_and_no_session_is_dropped(identity: Identity) -> None:
    renewed = issue(identity.authority, "mx.example.test")
    listeners = (IMPLICIT, Listener(name="start", address="127.0.0.2", tls=OPTIONAL.tls))
    async with serve(*listeners, certificates={"main": identity.certificate}) as served:
        old, waiting = await served.connect(tls=identity.client()), await served.connect("start")
        await old.greet()
        await waiting.greet()
        await served.acceptor.replace_policy(make_policy(served.rules, *listeners, certificates={"main": renewed}))
        new = await served.connect(tls=identity.client())
        await new.greet()
        await waiting.start_tls(identity.client())
        await old.envelope()
        assert (await old.data(b"a: b\r\n\r\n.\r\n")).startswith("250")
        assert _serial(old) == _serial_of(identity.certificate)
        assert _serial(new) == _serial(waiting) == _serial_of(renewed)


@pytest.mark.parametrize(("known", "told"), [(True, b":YES)"), (False, b":NO)")])
async def test_an_optional_client_certificate_is_told_in_the_trace_field(
    identity: Identity, known: bool, told: bytes
) -> None:
    tls = ServerTls(mode="StartTLS", certificates=("main",), verify_client="Optional", client_ca="ca")
    bundle = Certificate(chain_pem=identity.authority.cert_pem.bytes().decode())
    certificates = {"main": identity.certificate, "ca": bundle}
    async with serve(Listener(name="mx", tls=tls), certificates=certificates) as served:
        context = identity.client()
        if known:
            identity.authority.issue_cert("client.example").configure_cert(context)
        client = await served.greeted()
        await client.start_tls(context)
        await client.ask("EHLO client.example")
        await client.envelope()
        await client.data(b"a: b\r\n\r\n.\r\n")
        ((_, content),) = served.spool.stored.values()
        assert told in content


async def test_a_certificate_of_a_stranger_is_refused_even_where_none_is_needed(identity: Identity) -> None:
    tls = ServerTls(mode="Implicit", certificates=("main",), verify_client="Optional", client_ca="ca")
    bundle = Certificate(chain_pem=identity.authority.cert_pem.bytes().decode())
    async with serve(Listener(name="mx", tls=tls), certificates={"main": identity.certificate, "ca": bundle}) as served:
        context = identity.client()
        trustme.CA().issue_cert("client.example").configure_cert(context)
        with suppress(ssl.SSLError, ConnectionError):
            assert await (await served.connect(tls=context)).reply() == ""
        await served.until(lambda: [each.reason for each in served.of(TlsFailure)] == ["cert_untrusted"])


async def test_handshakes_of_a_client_in_a_minute_are_limited(identity: Identity) -> None:
    limits = Limits(rates=Rates(handshakes_per_minute=1))
    async with serve(OPTIONAL, limits=limits, certificates={"main": identity.certificate}) as served:
        await (await served.greeted()).start_tls(identity.client())
        client = await served.greeted()
        assert await client.ask("STARTTLS") == ("454 4.7.0 Too many TLS sessions from your address, try again later")
        assert (await client.ask("NOOP")).startswith("250")


@pytest.mark.parametrize(
    ("lowest", "spoken", "accepted"),
    [
        ("TLSv1.2", ssl.TLSVersion.TLSv1_1, False),
        ("TLSv1.2", ssl.TLSVersion.TLSv1_2, True),
        ("TLSv1.3", ssl.TLSVersion.TLSv1_2, False),
    ],
)
@pytest.mark.parametrize("mode", ["Implicit", "StartTLS"])
async def test_old_versions_of_tls_are_not_spoken(
    identity: Identity, mode: str, lowest: str, spoken: ssl.TLSVersion, accepted: bool
) -> None:
    tls = msgspec.convert({"mode": mode, "certificates": ["main"], "minimumVersion": lowest}, ServerTls)
    context = identity.client()
    context.set_ciphers("ALL:@SECLEVEL=0")  # OpenSSL itself would offer nothing so old
    with warnings.catch_warnings(action="ignore"):
        context.minimum_version = context.maximum_version = spoken
    async with serve(Listener(name="mx", tls=tls), certificates={"main": identity.certificate}) as served:
        version = None
        with suppress(ssl.SSLError, ConnectionError):
            client = await served.connect(tls=context if mode == "Implicit" else None)
            await client.greet()
            if mode == "StartTLS":
                await client.start_tls(context)
            version = client.writer.get_extra_info("ssl_object").version()
        assert version == ("TLSv1.2" if accepted else None)
        await served.until(lambda: bool(served.of(TlsFailure) or served.of(LinkTls)))
        assert [each.reason for each in served.of(TlsFailure)] == [] if accepted else ["protocol"]


@pytest.mark.parametrize("name", ["unknown.example", None])
async def test_who_names_no_certificate_of_ours_gets_the_first(identity: Identity, name: str | None) -> None:
    certificates = {"main": identity.certificate, "other": issue(identity.authority, "other.test")}
    listener = Listener(name="mx", tls=ServerTls(mode="Implicit", certificates=("main", "other")))
    async with serve(listener, certificates=certificates) as served:
        context = identity.client()
        context.check_hostname = False
        host, _, port = served.acceptor.addresses()["mx"].rpartition(":")
        streams = await asyncio.open_connection(host, int(port), ssl=context, server_hostname=name or "")
        assert _serial(Client(*streams)) == _serial_of(identity.certificate)
        streams[1].close()
