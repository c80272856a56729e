"""AUTH: over TLS only, secrets nowhere, failures limited and alike."""

import base64
import dataclasses
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import bcrypt
import pytest

from paquebot_mta.accept.credentials import PasswordChecker
from paquebot_mta.config.listeners import Listener, ServerAuth, ServerTls
from paquebot_mta.config.rates import Rates
from paquebot_mta.config.service import Limits
from paquebot_mta.telemetry.events import LimitHit, LinkAuth
from tests.mta.accept.conftest import Identity
from tests.mta.accept.support import Client, DictTable, Rules, Served, make_policy, serve

PASSWORD = "Secret 1"
HASH = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
USERS = {"alice@example.test": HASH, "bob": f"bob:{HASH}"}


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def plain(user: str, password: str = PASSWORD) -> str:
    return b64(f"\0{user}\0{password}")


@asynccontextmanager
async def submission(
    identity: Identity,
    *,
    senders: dict[str, str] | None = None,
    users: dict[str, str] | None = USERS,
    rates: Rates | None = None,
) -> AsyncIterator[tuple[Served, Client]]:
    tls = ServerTls(mode="Implicit", certificates=("main",))
    auth = ServerAuth(mode="Required", credentials="users", senders="senders" if senders else "")
    listener = Listener(name="mx", role="Submission", tls=tls, auth=auth, received_auth=True)
    tables = {"users": DictTable(users), "senders": DictTable(senders or {})}
    limits = Limits(auth_failures=3, rates=rates or Rates())
    certificates = {"main": identity.certificate}
    async with serve(listener, limits=limits, tables=tables, certificates=certificates) as served:
        client = await served.connect(tls=identity.client())
        assert "250-AUTH PLAIN LOGIN" in (await client.greet()).split("\n")
        yield served, client


async def test_mail_waits_for_auth(identity: Identity) -> None:
    async with submission(identity) as (served, client):
        assert await client.ask("MAIL FROM:<>") == "530 5.7.0 Must issue an AUTH command first"
        assert served.spool.drafts == []


@pytest.mark.parametrize("user", ["alice@example.test", "bob"])
async def test_plain_with_an_initial_response(identity: Identity, user: str) -> None:
    async with submission(identity) as (served, client):
        assert await client.ask(f"auth plain {plain(user)}") == "235 2.0.0 Authentication succeeded"
        assert served.reports()[-3:] == [
            "protocol-client|AUTH plain ********",
            f"link-auth|pass|{user}",
            "protocol-server|235 2.0.0 Authentication succeeded",
        ]
        assert (await client.ask(f"AUTH PLAIN {plain(user)}")).startswith("503")


async def test_login_and_plain_with_challenges(identity: Identity) -> None:
    async with submission(identity) as (served, client):
        assert await client.ask("AUTH LOGIN") == "334 VXNlcm5hbWU6"
        assert await client.ask(b64("bob")) == "334 UGFzc3dvcmQ6"
        assert (await client.ask(b64("wrong"))).startswith("535 5.7.8 Authentication failed")
        assert await client.ask("AUTH PLAIN") == "334 "
        assert (await client.ask(plain("bob"))).startswith("235")
        told = "\n".join(served.reports())
        assert not any(secret in told for secret in (b64("wrong"), plain("bob"), PASSWORD))
        assert [each.result for each in served.of(LinkAuth)] == ["fail", "pass"]


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("AUTH", "504"),
        ("AUTH CRAM-MD5", "504"),
        ("AUTH PLAIN !!!!", "501"),
        ("AUTH PLAIN YQ", "501"),
        (f"AUTH PLAIN {b64('a')}", "501"),
        (f"AUTH PLAIN {b64(chr(0) + 'a' + chr(0))}", "501"),
        (f"AUTH PLAIN {b64('other' + chr(0) + 'bob' + chr(0) + PASSWORD)}", "501"),
        (f"AUTH PLAIN {plain('x' * 2000)}", "501"),
        (f"AUTH PLAIN {'x' * 12_300}", "500"),
        (f"AUTH PLAIN {plain('a' + chr(10) + 'b')}", "501"),
        ("AUTH LOGIN =", "501"),
    ],
)
async def test_malformed_exchanges_are_refused(identity: Identity, line: str, code: str) -> None:
    async with submission(identity) as (served, client):
        reply = await client.ask(line)
        if reply.startswith("334"):
            reply = await client.ask("")
        assert reply[:3] == code
        assert served.of(LinkAuth) == []


@pytest.mark.parametrize(
    "lines",
    [
        ("AUTH LOGIN Ym9i SECRET",),
        ("auth  login  Ym9i  SECRET",),
        ("AUTH  PLAIN  SECRET",),
        ("AUTH PLAIN Ym9i SECRET",),
        ("AUTH CRAM-MD5 SECRET",),
        ("AUTH LOGIN", "bob@example.test", "SECRET"),
        ("AUTH LOGIN bob@example.test", "Ym9i", "SECRET"),
        (f"AUTH PLAIN {plain('bob', 'wrong')}", "SECRET"),
        ("AUTH CRAM-MD5", "Ym9i", "SECRET", "SECRET=="),
        ("AUTH PLAIN", "*", "SECRET"),
    ],
)
async def test_a_client_that_goes_on_with_what_was_refused_tells_nobody_its_secrets(
    identity: Identity, lines: tuple[str, ...]
) -> None:
    async with submission(identity) as (served, client):
        for line in lines:
            await client.ask(line)
        await client.ask("NOOP")
        await client.ask("XYZZY shown")
        told = "\n".join(served.reports())
        assert "SECRET" not in told
        assert "protocol-client|NOOP" in told
        assert "protocol-client|XYZZY shown" in told, "a command ends it"


async def test_a_star_cancels(identity: Identity) -> None:
    async with submission(identity) as (_, client):
        await client.ask("AUTH LOGIN")
        assert (await client.ask("*")).startswith("501")
        assert (await client.ask("NOOP")).startswith("250")


async def test_three_failures_end_the_session(identity: Identity) -> None:
    async with submission(identity) as (_, client):
        for user in ("nobody", "bob"):
            assert await client.ask(f"AUTH PLAIN {plain(user, 'wrong')}") == "535 5.7.8 Authentication failed"
        assert (await client.ask(f"AUTH PLAIN {plain('bob', PASSWORD.lower())}")).startswith("421 4.7.0")
        assert await client.closed()


async def test_a_table_that_is_down_is_a_temporary_fault(identity: Identity) -> None:
    async with submission(identity, users=None) as (served, client):
        assert (await client.ask(f"AUTH PLAIN {plain('bob')}")).startswith("454 4.7.0")
        assert [each.result for each in served.of(LinkAuth)] == ["error"]


async def test_without_tls_auth_is_not_offered_nor_taken(identity: Identity) -> None:
    tls = ServerTls(mode="StartTLS", certificates=("main",))
    listener = Listener(name="mx", tls=tls, auth=ServerAuth(mode="Optional", credentials="users"))
    certificates = {"main": identity.certificate}
    async with serve(listener, tables={"users": DictTable(USERS)}, certificates=certificates) as served:
        client = await served.connect()
        assert "AUTH" not in await client.greet()
        assert (await client.ask(f"AUTH PLAIN {plain('bob')}")).startswith("503 5.5.1")
        assert PASSWORD not in "".join(served.reports())


async def test_a_user_sends_as_itself_only(identity: Identity) -> None:
    async with submission(identity) as (_, client):
        await client.ask(f"AUTH PLAIN {plain('alice@example.test')}")
        assert (await client.ask("MAIL FROM:<bob@example.test>")).startswith("550 5.7.1")
        assert await client.codes("MAIL FROM:<Alice@example.test>", "RSET", "MAIL FROM:<>") == ["250"] * 3


async def test_a_senders_map_says_who_sends_as_whom(identity: Identity) -> None:
    async with submission(identity, senders={"bob": "sales@example.test, @bob.test"}) as (_, client):
        await client.ask(f"AUTH PLAIN {plain('bob')}")
        paths = ("sales@example.test", "any@bob.test", "bob@example.test")
        codes = []
        for path in paths:
            codes.append((await client.ask(f"MAIL FROM:<{path}>"))[:3])
            await client.ask("RSET")
        assert codes == ["250", "250", "550"]


async def test_submission_completes_the_header_and_hides_bcc(identity: Identity) -> None:
    async with submission(identity) as (served, client):
        await client.ask(f"AUTH PLAIN {plain('bob')}")
        await client.codes("MAIL FROM:<b@x.test>", "RCPT TO:<alice@example.test>", "RCPT TO:<far@elsewhere.test>")
        await client.data(b"Subject: s\r\nBcc: secret@x.test,\r\n other@x.test\r\nTo: a\r\n\r\nBcc: body\r\n.\r\n")
        (content,) = served.spool.contents()
        head, _, rest = content.partition(b"Subject: ")
        assert rest == b"s\r\nTo: a@mx.example.test\r\n\r\nBcc: body\r\n"
        assert head.startswith(b"Date: Tue, 14 Nov 2023 22:13:20 +0000\r\nMessage-ID: <")
        assert head.endswith(b"@mx.example.test>\r\n")
        ((message, stored),) = served.spool.stored.values()
        assert b" auth=yes user=bob;\r\n" in stored
        assert (message.user, message.protocol) == ("bob", "ESMTPSA")
        assert b"far@elsewhere" not in stored


async def test_a_complete_header_is_left_alone(identity: Identity) -> None:
    header = b"date: x\r\nMESSAGE-ID: y\r\n\r\n"
    async with submission(identity) as (served, client):
        await client.ask(f"AUTH PLAIN {plain('bob')}")
        await client.codes("MAIL FROM:<b@x.test>", "RCPT TO:<alice@example.test>")
        await client.data(header + b"body\r\n.\r\n")
        assert served.spool.contents() == [header + b"body\r\n"]


async def test_failures_of_a_client_count_over_all_its_sessions(identity: Identity) -> None:
    rates = Rates(auth_failures_per_minute=3)
    async with submission(identity, rates=rates) as (served, first):
        second = await served.connect(tls=identity.client())
        await second.greet()
        for client in (first, second):
            assert (await client.ask(f"AUTH PLAIN {plain('bob', 'wrong')}")).startswith("535")
        assert (await first.ask(f"AUTH PLAIN {plain('bob', 'guess')}")).startswith("421 4.7.0 Too many authentication")
        assert await first.closed()
        with pytest.raises(ssl.SSLError, match="WRONG_VERSION_NUMBER"):  # refused in the clear, before a handshake
            await served.connect(tls=identity.client())
        assert [each.limit for each in served.of(LimitHit)] == ["rate"]


async def test_auth_commands_of_a_client_in_a_minute_are_limited(identity: Identity) -> None:
    async with submission(identity, rates=Rates(auths_per_minute=1)) as (_, client):
        await client.ask(f"AUTH PLAIN {plain('bob', 'wrong')}")
        assert await client.ask(f"AUTH PLAIN {plain('bob')}") == (
            "450 4.7.1 Too many AUTH commands from your address, try again later"
        )


async def test_messages_and_recipients_of_a_user_in_an_hour_are_limited(identity: Identity) -> None:
    rates = Rates(user_messages_per_hour=2, user_recipients_per_hour=1)
    async with submission(identity, rates=rates) as (served, client):
        await client.ask(f"AUTH PLAIN {plain('bob')}")
        await client.codes("MAIL FROM:<b@x.test>", "RCPT TO:<alice@example.test>")
        assert await client.ask("RCPT TO:<carol@example.test>") == (
            "450 4.7.1 Too many recipients from this user, try again later"
        )
        other = await served.connect(tls=identity.client())
        await other.greet()
        await other.ask(f"AUTH PLAIN {plain('bob')}")
        assert await other.codes("MAIL FROM:<b@x.test>", "RCPT TO:<alice@example.test>", "RSET") == [
            "250",
            "450",
            "250",
        ]
        assert await other.ask("MAIL FROM:<b@x.test>") == "450 4.7.1 Too much mail from this user, try again later"
        assert {each.limit for each in served.of(LimitHit)} == {"rate"}


async def test_every_failure_is_answered_late() -> None:
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    checker = PasswordChecker(lambda bits: 2 ** (bits - 1), sleep)
    policy = make_policy(Rules(), tables={}).listeners["mx"]
    policy = dataclasses.replace(policy, credentials=DictTable(USERS))
    for name, good in ((b"bob", False), (b"nobody", False), (b"bob", True)):
        password = PASSWORD.encode() if good else b"wrong"
        assert (await checker.authenticate(policy, name, password)).success is good
    assert waited == [0.5, 0.5]
    checker.close()
