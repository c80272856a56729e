"""TLS and AUTH towards a next hop, on both event loops: what each policy lets through, and what is never shown."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import uvloop

from paquebot_mta.config.actions import ClientTls, Relay
from paquebot_mta.config.service import Certificate, Outbound
from paquebot_mta.deliver.settings import Endpoint
from paquebot_mta.deliver.tls import ClientContexts
from paquebot_mta.mail.outcome import Deferred, Delivered, Outcome
from paquebot_mta.mail.reply import Reply
from paquebot_mta.resolver.memory import MemoryResolver
from paquebot_mta.route.hops import Route
from paquebot_mta.route.router import Router
from paquebot_mta.telemetry.events import TlsFailure
from tests.mta.deliver.relay_rig import CONTENT, Rig, impatient, make_task, relay_rig, route_to
from tests.support.certificates import CertificateAuthority, CertificateFiles
from tests.support.fake_mx import FakeMx
from tests.support.fake_mx_script import EXTENSIONS, Answer, Script, Steps, Then

VERIFIED = ClientTls(policy="Verified", ca="ours")
Loop = Callable[[], asyncio.AbstractEventLoop]
BOTH_LOOPS = pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> CertificateAuthority:
    return CertificateAuthority(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def files(authority: CertificateAuthority) -> CertificateFiles:
    return authority.issue("mx.test")


def run(loop: Loop, scenario: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(10):
            await scenario()

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(bounded())


async def deliver(mx: FakeMx, policy: str, rig: Rig, *, implicit: bool = False) -> Outcome:
    return await rig.outcome(route_to(mx, policy=policy, implicit_tls=implicit), make_task())


@BOTH_LOOPS
@pytest.mark.parametrize("policy", ["Opportunistic", "Required"])
def test_tls_is_used_when_offered(loop: Loop, policy: str, files: CertificateFiles) -> None:
    async def scenario() -> None:
        async with FakeMx(Script(tls=files.server_context())) as mx, relay_rig() as rig:
            receipt = await rig.deliver(route_to(mx, policy=policy), make_task())
            assert mx.transactions[0].is_tls
            assert mx.sessions[0].verbs()[:3] == ["EHLO", "STARTTLS", "EHLO"]
            assert mx.sessions[0].bytes_after_starttls == 0
        assert receipt.tls.startswith("TLSv1.3:")
        assert rig.reports("link-tls") == [f"link-tls|{receipt.tls}"]

    run(loop, scenario)


@BOTH_LOOPS
@pytest.mark.parametrize(
    ("policy", "outcome"), [("Opportunistic", Delivered), ("Required", Deferred), ("Verified", Deferred)]
)
def test_a_server_without_tls(loop: Loop, policy: str, outcome: type) -> None:
    async def scenario() -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        async with FakeMx() as mx, relay_rig(endpoint=Endpoint("out", ssl_context=context)) as rig:
            assert isinstance(await deliver(mx, policy, rig), outcome)

    run(loop, scenario)


@pytest.mark.parametrize("policy", ["Required", "Verified"])
@pytest.mark.parametrize("refused", [None, "454 4.7.0 not now", "502 5.5.1 never", "421 4.3.2 bye"])
async def test_a_server_that_refuses_tls_gets_no_mail_in_the_clear_if_the_policy_wants_tls(
    policy: str, refused: str | None, authority: CertificateAuthority, files: CertificateFiles
) -> None:
    script = Script() if refused is None else Script({"STARTTLS": refused}, tls=files.server_context())
    async with FakeMx(script) as mx, relay_rig(endpoint=trusting(authority)) as rig:
        assert isinstance(await deliver(mx, policy, rig), Deferred)
        assert [each.verbs().count("STARTTLS") for each in mx.sessions] == [0 if refused is None else 1]
        assert "MAIL" not in mx.sessions[0].verbs()


@pytest.mark.parametrize("refused", ["454 4.7.0 not now", "502 5.5.1 never"])
async def test_a_server_that_refuses_tls_gets_mail_in_the_clear_if_the_policy_lets_it(
    refused: str, files: CertificateFiles
) -> None:
    async with FakeMx(Script({"STARTTLS": refused}, tls=files.server_context())) as mx, relay_rig() as rig:
        assert isinstance(await deliver(mx, "Opportunistic", rig), Delivered)
        assert not mx.transactions[0].is_tls


@BOTH_LOOPS
@pytest.mark.parametrize("how", [Answer("220 go", Then.CLOSE), Answer("220 go", Then.RESET)])
@pytest.mark.parametrize(("policy", "expected"), [("Opportunistic", Delivered), ("Required", Deferred)])
def test_a_broken_handshake(loop: Loop, policy: str, expected: type, how: Answer, files: CertificateFiles) -> None:
    async def scenario() -> None:
        script = Script({"STARTTLS": how}, tls=files.server_context())
        async with FakeMx(script) as mx, relay_rig() as rig:
            assert isinstance(await deliver(mx, policy, rig), expected)
            assert len(mx.sessions) == (2 if expected is Delivered else 1)
        assert len([each for each in rig.events if isinstance(each, TlsFailure)]) == 1
        assert len(rig.reports("link-connect")) == len(rig.reports("link-disconnect")) == len(mx.sessions)

    run(loop, scenario)


@BOTH_LOOPS
def test_a_stalled_handshake_has_a_deadline(loop: Loop, files: CertificateFiles) -> None:
    async def scenario() -> None:
        script = Script({"STARTTLS": Answer("220 go", Then.STALL)}, tls=files.server_context())
        async with FakeMx(script) as mx, relay_rig(timeouts=impatient(command=0.1)) as rig:
            assert isinstance(await deliver(mx, "Required", rig), Deferred)

    run(loop, scenario)


@BOTH_LOOPS
def test_bytes_after_the_reply_to_starttls_are_an_attack(loop: Loop, files: CertificateFiles) -> None:
    async def scenario() -> None:
        script = Script({"STARTTLS": Answer("220 go\r\n250 injected", Then.STALL)}, tls=files.server_context())
        async with FakeMx(script) as mx, relay_rig() as rig:
            outcome = await deliver(mx, "Opportunistic", rig)
            assert mx.contents == []
        assert isinstance(outcome, Deferred)
        assert "handshake" in outcome.reply.text

    run(loop, scenario)


@BOTH_LOOPS
@pytest.mark.parametrize(("name", "expected"), [("mx.test", Delivered), ("other.test", Deferred)])
def test_verification_is_by_name(loop: Loop, name: str, expected: type, authority: CertificateAuthority) -> None:
    async def scenario() -> None:
        script = Script(tls=authority.issue(name).server_context())
        async with FakeMx(script) as mx, relay_rig(endpoint=trusting(authority)) as rig:
            assert isinstance(await deliver(mx, "Verified", rig), expected)
        failures = [each.reason for each in rig.events if isinstance(each, TlsFailure)]
        assert failures == ([] if expected is Delivered else ["cert_name"])

    run(loop, scenario)


@BOTH_LOOPS
@pytest.mark.parametrize(("policy", "expected"), [("Required", Delivered), ("Verified", Deferred)])
def test_an_expired_certificate_is_no_proof(
    loop: Loop, policy: str, expected: type, authority: CertificateAuthority
) -> None:
    async def scenario() -> None:
        endpoint = trusting(authority) if policy == "Verified" else None
        script = Script(tls=authority.issue("expired.test", "mx.test", days=-1).server_context())
        async with FakeMx(script) as mx, relay_rig(endpoint=endpoint) as rig:
            assert isinstance(await deliver(mx, policy, rig), expected)
            assert ("MAIL" in mx.sessions[0].verbs()) == (expected is Delivered)
        failures = [each.reason for each in rig.events if isinstance(each, TlsFailure)]
        assert failures == ([] if expected is Delivered else ["cert_expired"])

    run(loop, scenario)


SPARSE, RICH = "250-mx.test\r\n250 STARTTLS", "250-mx.test\r\n250-STARTTLS\r\n250-DSN\r\n250 SIZE 10000"


@pytest.mark.parametrize(
    ("before", "after", "parameters"),
    [(RICH, SPARSE, ()), (SPARSE, RICH, (f"SIZE={len(CONTENT)}", "RET=HDRS"))],
    ids=["taken back", "added"],
)
async def test_only_what_is_offered_within_tls_counts(
    before: str, after: str, parameters: tuple[str, ...], files: CertificateFiles
) -> None:
    script = Script({"EHLO": [before, after]}, tls=files.server_context())
    async with FakeMx(script) as mx, relay_rig() as rig:
        outcome = await rig.outcome(route_to(mx, policy="Required"), make_task(dsn_return="HDRS"))
        assert mx.transactions[0].is_tls
        assert mx.transactions[0].sender.parameters == parameters
    assert outcome == Delivered(Reply(250, "taken", "2.0.0", remote=True), dsn_passed=bool(parameters))


def trusting(authority: CertificateAuthority) -> Endpoint:
    """Make an endpoint that verifies against the test's authority."""
    bundle = Certificate(chain_pem=authority.path.read_text(encoding="ascii"))
    return Endpoint("out", ssl_context=ClientContexts({"ours": bundle}).get(VERIFIED))


@BOTH_LOOPS
@pytest.mark.parametrize(("literal", "address"), [("[127.0.0.1]", "127.0.0.1"), ("[IPv6:::1]", "::1")])
@pytest.mark.parametrize(("certified", "expected"), [("same", Delivered), ("192.0.2.1", Deferred)])
def test_an_address_literal_is_verified_by_its_address_and_asks_for_no_name(
    loop: Loop, literal: str, address: str, certified: str, expected: type, authority: CertificateAuthority
) -> None:
    async def scenario() -> None:
        asked: list[str | None] = []
        context = authority.issue(address if certified == "same" else certified).server_context()
        context.sni_callback = lambda _, name, __: asked.append(name)
        async with FakeMx(Script(tls=context), host=address) as mx, relay_rig(endpoint=trusting(authority)) as rig:
            route = await literal_route(literal, mx.port)
            assert isinstance(await rig.outcome(route, make_task()), expected)
        assert asked == [None]

    run(loop, scenario)


async def literal_route(domain: str, port: int) -> Route:
    """Route mail for an address literal as the router does."""
    router = Router(
        resolver=MemoryResolver({}),
        outbound=Outbound(allow_private_next_hops=True, port=port),
        hostname="out.origin.test",
        local_addresses=frozenset,
        emit=lambda _: None,
    )
    route = await router.route(Relay(tls=VERIFIED), domain)
    assert isinstance(route, Route)
    return route


@BOTH_LOOPS
def test_implicit_tls_comes_before_the_banner(loop: Loop, files: CertificateFiles) -> None:
    async def scenario() -> None:
        seen: list[bytes] = []

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            for reply in (b"220 mx.test\r\n", b"250 mx.test\r\n", b"550 5.7.1 no\r\n", b"221 bye\r\n"):
                writer.write(reply)
                seen.append(await reader.readline())
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=files.server_context())
        route = route_to(server.sockets[0].getsockname()[1], policy="Required", implicit_tls=True)
        async with relay_rig() as rig:
            await rig.deliver(route, make_task())
        server.close()
        assert seen[0] == b"EHLO out.origin.test\r\n"
        names = [each.partition("|")[0] for each in rig.reports()]
        assert names[:4] == ["link-connect", "link-tls", "protocol-server", "link-greeting"]

    run(loop, scenario)


LOGIN: dict[str, Steps] = {"AUTH": "334 VXNlcm5hbWU6", "DXNLCG==": "334 UGFzc3dvcmQ6", "AHVUDGVYMG==": "235 2.7.0 ok"}
"""By verbs, as the server reads a line: the name and the password, both in BASE64, are upper case there."""


@pytest.mark.parametrize(
    ("mechanisms", "replies", "said"),
    [
        ("AUTH PLAIN LOGIN", {}, ["AUTH PLAIN AHVzZXIAaHVudGVyMg=="]),
        ("AUTH LOGIN", LOGIN, ["AUTH LOGIN", "dXNlcg==", "aHVudGVyMg=="]),
    ],
)
async def test_credentials_are_said_and_never_reported(
    mechanisms: str, replies: dict[str, Steps], said: list[str], files: CertificateFiles
) -> None:
    script = Script(replies, extensions=(*EXTENSIONS, mechanisms), tls=files.server_context())
    endpoint = Endpoint("out", credentials=("user", "hunter2"))
    async with FakeMx(script) as mx, relay_rig(endpoint=endpoint) as rig:
        assert isinstance(await deliver(mx, "Required", rig), Delivered)
        assert [each for each in mx.sessions[0].commands if each in said] == said
    client = rig.reports("protocol-client")
    assert ("protocol-client|AUTH PLAIN ********" in client) == ("PLAIN" in mechanisms)
    assert not [each for each in client if "dXNlcg" in each or "aHVudGVyMg" in each or "AHVzZXI" in each]
    assert rig.reports("link-auth") == ["link-auth|pass|user"]


@pytest.mark.parametrize("replies", [{"AUTH": "535 5.7.8 no"}, {**LOGIN, "AHVUDGVYMG==": "535 5.7.8 no"}])
async def test_a_login_that_is_refused_at_any_step_defers(replies: dict[str, Steps], files: CertificateFiles) -> None:
    script = Script(replies, extensions=(*EXTENSIONS, "AUTH LOGIN"), tls=files.server_context())
    async with FakeMx(script) as mx, relay_rig(endpoint=Endpoint("out", credentials=("user", "hunter2"))) as rig:
        assert isinstance(await deliver(mx, "Required", rig), Deferred)
    assert rig.reports("link-auth") == ["link-auth|fail|user"]


@pytest.mark.parametrize("policy", ["None", "Opportunistic"])
async def test_credentials_are_never_sent_in_the_clear(policy: str) -> None:
    script = Script(extensions=(*EXTENSIONS, "AUTH PLAIN"))
    async with FakeMx(script) as mx, relay_rig(endpoint=Endpoint("out", credentials=("user", "pass"))) as rig:
        assert isinstance(await deliver(mx, policy, rig), Deferred)
        assert "AUTH" not in mx.sessions[0].verbs()


async def test_refused_credentials_defer(files: CertificateFiles) -> None:
    script = Script({"AUTH": "535 5.7.8 no"}, extensions=(*EXTENSIONS, "AUTH PLAIN"), tls=files.server_context())
    async with FakeMx(script) as mx, relay_rig(endpoint=Endpoint("out", credentials=("user", "pass"))) as rig:
        assert isinstance(await deliver(mx, "Required", rig), Deferred)
    assert rig.reports("link-auth") == ["link-auth|fail|user"]


async def test_policy_none_never_says_starttls(files: CertificateFiles) -> None:
    async with FakeMx(Script(tls=files.server_context())) as mx, relay_rig() as rig:
        assert isinstance(await deliver(mx, "None", rig), Delivered)
        assert "STARTTLS" not in mx.sessions[0].verbs()


def test_a_client_certificate_is_loaded_from_memory(files: CertificateFiles) -> None:
    ours = Certificate(chain_pem=files.certificate.read_text("ascii"), key_pem=files.key.read_text("ascii"))
    policy = ClientTls(policy="Required", client_certificate="ours")
    contexts = ClientContexts({"ours": ours})
    assert contexts.get(policy) is contexts.get(policy)


@pytest.mark.parametrize("policy", [ClientTls(policy="Verified", ca="x"), ClientTls(client_certificate="x")])
def test_a_missing_certificate_is_named(policy: ClientTls, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'x'"):
        ClientContexts({}).get(policy)
    with pytest.raises(ValueError, match="'x'"):
        ClientContexts({"x": Certificate(chain_pem="junk")}).get(policy)
