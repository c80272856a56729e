"""Filters in a session: what they are asked, in which order, and what their decisions do."""

import asyncio
import ssl

import pytest

from paquebot_mta.config.filters import Criterion, Phase
from paquebot_mta.config.listeners import Listener, ServerAuth, ServerTls
from paquebot_mta.filter.contract import FilterError
from paquebot_mta.filter.decisions import BYPASS, JUNK, PROCEED, Decision, Disconnect, Reject, Rewrite, Say
from paquebot_mta.mail.reply import Reply
from paquebot_mta.telemetry.events import Attempt, LinkDisconnect
from paquebot_mta.telemetry.filter_events import FilterAnswer, FilterFault
from tests.mta.accept.conftest import Identity
from tests.mta.accept.filters import Filters, Scripted, action, builtin
from tests.mta.accept.support import Served, serve

ALL: tuple[Phase, ...] = ("connect", "helo", "ehlo", "mail-from", "rcpt-to", "data", "commit", "rset", "noop", "quit")
LETTER = b"Subject: x\r\n\r\nhello\r\n.\r\n"
SPAM = b"X-Spam: yes\r\n"


async def _send(served: Served, *recipients: str) -> str:
    client = await served.greeted()
    await client.envelope(*recipients)
    reply = await client.data(LETTER)
    await client.ask("QUIT")
    await served.finished()
    return reply


def _contents(served: Served) -> list[bytes]:
    return [content for _, content in served.spool.stored.values()]


async def test_a_session_without_filters_has_no_filter_events() -> None:
    async with serve() as served:
        await _send(served)
    assert not any(line.startswith("filter-") for line in served.reports())


async def test_every_phase_is_asked_with_its_parameter_in_the_protocol_s_order() -> None:
    asked = Scripted(ALL)
    async with serve(screens=Filters({"f": asked})) as served:
        client = await served.greeted()
        await client.ask("NOOP hi")
        await client.envelope("alice@example.test")
        await client.ask("RSET")
        await client.envelope("alice@example.test", "bob@example.test")
        await client.data(LETTER)
        await client.ask("QUIT")
        await served.finished()
    assert asked.heard() == [
        ("connect", "localhost|127.0.0.1"), ("ehlo", "client.example"), ("noop", "hi"),
        ("mail-from", "joe@client.example"), ("rcpt-to", "alice@example.test"), ("rset", ""),
        ("mail-from", "joe@client.example"), ("rcpt-to", "alice@example.test"), ("rcpt-to", "bob@example.test"),
        ("data", ""), ("commit", ""), ("quit", ""),
    ]  # fmt: skip
    facts = asked.asked[-2].facts
    assert (facts.helo, facts.reverse_path, facts.recipients) == (
        "client.example", "joe@client.example", ["alice@example.test", "bob@example.test"],
    )  # fmt: skip
    assert asked.forgotten == [facts.session]


async def test_the_events_of_a_message_come_in_the_golden_order() -> None:
    async with serve(screens=Filters({"f": Scripted(ALL)})) as served:
        await _send(served)
    names = [line.split("|")[0] + (f"|{line.split('|')[1]}" if "filter" in line else "") for line in served.reports()]
    msgid = served.spool.messages()[0].msgid
    assert [name for name in names if name != "protocol-server"] == [
        "link-connect", "filter-response|connected", "link-greeting",
        "protocol-client", "filter-response|ehlo", "link-identify",
        "protocol-client", "filter-response|mail-from", "tx-begin", "tx-mail",
        "protocol-client", "filter-response|rcpt-to", "tx-envelope", "tx-rcpt",
        "protocol-client", "filter-response|data", "tx-data",
        "protocol-client", "filter-response|commit", "tx-commit", "tx-reset",
        "protocol-client", "filter-response|quit", "link-disconnect",
    ]  # fmt: skip
    lines = served.reports()
    assert lines.index(f"tx-begin|{msgid}") == lines.index("protocol-server|250 2.0.0 Ok") + 1


async def test_a_command_that_fails_its_syntax_or_state_reaches_no_filter() -> None:
    asked = Scripted(ALL)
    async with serve(screens=Filters({"f": asked})) as served:
        client = await served.connect()
        await client.reply()
        for line in ("MAIL FROM:<a@b.test>", "EHLO", "DATA", "RCPT TO:<a@example.test>", "RSET x", "QUIT now"):
            assert (await client.ask(line))[0] == "5"
        await client.ask("EHLO a.test")
        assert (await client.ask("MAIL FROM:<a b>"))[0] == "5"
    assert asked.heard() == [("connect", "localhost|127.0.0.1"), ("ehlo", "a.test")]


@pytest.mark.parametrize("decision", ["reject", "disconnect"])
async def test_a_refusal_at_connect_is_said_instead_of_the_banner_and_closes(decision: str) -> None:
    refusing = builtin("connect", action(decision, code=554, text="go away"))
    async with serve(screens=Filters({"f": refusing})) as served:
        client = await served.connect()
        assert await client.reply() == "554 5.7.1 go away"
        assert await client.closed()
        await served.finished()
    assert [each.reason for each in served.of(LinkDisconnect)] == ["filter"]
    assert [each.outcome for each in served.of(Attempt)] == ["policy_rejected"]
    assert f"filter-response|connected|{decision}|554 5.7.1 go away" in served.reports()


@pytest.mark.parametrize(
    ("phase", "lines"),
    [
        ("ehlo", ["EHLO x.test"]),
        ("noop", ["NOOP"]),
        ("mail-from", ["EHLO x.test", "MAIL FROM:<a@b.test>"]),
        ("rcpt-to", ["EHLO x.test", "MAIL FROM:<a@b.test>", "RCPT TO:<alice@example.test>"]),
        ("data", ["EHLO x.test", "MAIL FROM:<a@b.test>", "RCPT TO:<alice@example.test>", "DATA"]),
        ("rset", ["EHLO x.test", "RSET"]),
    ],
)
@pytest.mark.parametrize(("decision", "code"), [("reject", 450), ("reject", 421), ("disconnect", 550)])
async def test_a_refusal_is_the_command_s_reply_and_the_session_lives_unless_told(
    phase: str, lines: list[str], decision: str, code: int
) -> None:
    status = f"{code // 100}.7.1"
    refusing = builtin(phase, action(decision, code=code, status=status, text="no"))  # type: ignore[arg-type]
    async with serve(screens=Filters({"f": refusing})) as served:
        client = await served.connect()
        await client.reply()
        replies = [await client.ask(line) for line in lines]
        assert replies[-1] == f"{code} {status} no"
        assert all(reply[0] in "23" for reply in replies[:-1])
        if decision == "disconnect" or code == 421:
            assert await client.closed()
        else:
            assert (await client.ask("VRFY a"))[:3] == "252"


async def test_a_refusal_at_commit_refuses_the_message() -> None:
    refusing = builtin("commit", action("reject", text="no such content"))
    async with serve(screens=Filters({"f": refusing})) as served:
        assert await _send(served) == "550 5.7.1 no such content"
    assert served.spool.stored == {}
    assert served.spool.drafts[0].aborted
    assert [line for line in served.reports() if line.startswith("tx-")][-2:] == [
        f"tx-rollback|{served.spool.drafts[0].msgid}",
        f"tx-reset|{served.spool.drafts[0].msgid}",
    ]


async def test_the_first_decision_that_is_not_to_go_on_ends_the_phase() -> None:
    first, last = Scripted(ALL, lambda phase, _: BYPASS if phase == "rcpt-to" else PROCEED), Scripted(ALL)
    says = builtin("mail-from", action("report", text="seen"))
    async with serve(screens=Filters({"first": first, "says": says, "last": last})) as served:
        await _send(served)
    assert ("mail-from", "joe@client.example") in last.heard()
    assert "rcpt-to" not in [phase for phase, _ in last.heard()]
    assert "filter-report|builtin|says|seen" in served.reports()
    assert "filter-response|rcpt-to|proceed" in served.reports()


@pytest.mark.parametrize("phase", ["connect", "ehlo", "mail-from"])
async def test_junk_before_rcpt_marks_all_messages_of_the_session(phase: str) -> None:
    marking = builtin(phase, action("junk"))  # type: ignore[arg-type]
    async with serve(screens=Filters({"f": marking})) as served:
        client = await served.greeted()
        for _ in range(2):
            await client.envelope()
            await client.data(LETTER)
    assert [content.startswith(SPAM + b"Received: ") for content in _contents(served)] == [True, True]


@pytest.mark.parametrize("phase", ["rcpt-to", "data"])
async def test_junk_from_rcpt_on_marks_this_transaction_only(phase: str) -> None:
    asked: list[str] = []

    def once(_: str, __: str) -> Decision:
        asked.append(phase)
        return JUNK if len(asked) == 1 else PROCEED

    async with serve(screens=Filters({"f": Scripted((phase,), once)})) as served:  # type: ignore[arg-type]
        client = await served.greeted()
        for _ in range(2):
            await client.envelope()
            await client.data(LETTER)
    assert [content.startswith(SPAM) for content in _contents(served)] == [True, False]


async def test_a_rewrite_is_read_again_and_reported_as_the_new_address() -> None:
    filters = Filters({
        "from": builtin("mail-from", action("rewrite", value="boss@example.test")),
        "to": builtin("rcpt-to", action("rewrite", value="<bob@example.test>")),
        "helo": builtin("ehlo", action("rewrite", value="other.example")),
    })  # fmt: skip
    async with serve(screens=filters) as served:
        await _send(served, "alice@example.test")
    message = served.spool.messages()[0]
    assert (message.reverse_path, message.helo) == ("boss@example.test", "other.example")
    assert [each.recipient for each in message.envelopes] == ["bob@example.test"]
    reports = served.reports()
    assert f"tx-mail|{message.msgid}|ok|boss@example.test" in reports
    assert f"tx-rcpt|{message.msgid}|ok|bob@example.test" in reports
    assert "filter-response|rcpt-to|rewrite|<bob@example.test>" in reports


@pytest.mark.parametrize(("phase", "garbage"), [("mail-from", "no brackets"), ("rcpt-to", "<>"), ("ehlo", "a b")])
async def test_a_rewrite_that_can_not_be_read_is_a_fault_for_now(phase: str, garbage: str) -> None:
    filters = Filters({"f": Scripted((phase,), lambda *_: Rewrite(garbage))})  # type: ignore[arg-type]
    async with serve(screens=filters) as served:
        client = await served.connect()
        await client.reply()
        replies = await client.codes("EHLO x.test", "MAIL FROM:<a@b.test>", "RCPT TO:<alice@example.test>")
    assert "451" in replies
    assert served.spool.stored == {}


async def test_a_filter_that_fails_refuses_its_phase_for_now_and_the_session_lives() -> None:
    def fail(phase: str, _: str) -> Decision:
        if phase == "rcpt-to":
            raise FilterError("gone", "timeout")
        return PROCEED

    async with serve(screens=Filters({"f": Scripted(ALL, fail)})) as served:
        client = await served.greeted()
        assert await client.ask("MAIL FROM:<a@b.test>") == "250 2.0.0 Ok"
        assert (await client.ask("RCPT TO:<alice@example.test>")).startswith("451 4.7.1 ")
        assert await client.ask("QUIT") == "221 2.0.0 Bye"
    assert [(each.filter, each.phase, each.reason) for each in served.of(FilterFault)] == [("f", "rcpt-to", "timeout")]


async def test_an_exception_of_a_filter_is_its_fault_not_the_session_s() -> None:
    def crash(phase: str, _: str) -> Decision:
        raise ZeroDivisionError("secret")

    async with serve(screens=Filters({"f": Scripted(("mail-from", "quit"), crash)})) as served:
        client = await served.greeted()
        assert (await client.ask("MAIL FROM:<a@b.test>")).startswith("451 4.7.1 ")
        assert await client.ask("QUIT") == "221 2.0.0 Bye"
        await served.finished()
    assert [each.fault for each in served.of(Attempt)] == ["filter"]


async def test_a_shadow_is_noted_and_not_done() -> None:
    shadow = builtin("mail-from", action("reject"), mode="Shadow")
    async with serve(screens=Filters({"f": shadow})) as served:
        assert (await _send(served)).startswith("250 ")
    answers = [(each.response, each.shadow) for each in served.of(FilterAnswer)]
    assert answers == [("reject", True)]
    assert "filter-response|mail-from|proceed" in served.reports()


@pytest.mark.parametrize("phase", ["connect", "rcpt-to", "commit"])
async def test_in_mode_junk_what_would_be_refused_is_junk(phase: str) -> None:
    gentle = builtin(phase, action("reject"), mode="Junk")  # type: ignore[arg-type]
    async with serve(screens=Filters({"f": gentle})) as served:
        assert (await _send(served)).startswith("250 ")
    assert _contents(served)[0].startswith(SPAM + b"Received: ")


async def test_credentials_are_hidden_from_filters(identity: Identity) -> None:
    asked = Scripted(("auth", "starttls"))
    listener = Listener(
        name="mx",
        tls=ServerTls(mode="StartTLS", certificates=("c",)),
        auth=ServerAuth(mode="Optional", credentials="users"),
    )
    tables = {"users": _NoUsers()}
    certificates = {"c": identity.certificate}
    screens = Filters({"f": asked})
    async with serve(listener, screens=screens, certificates=certificates, tables=tables) as served:
        client = await served.greeted()
        await client.start_tls(identity.client())
        await client.ask("EHLO again.example")
        assert (await client.ask("AUTH PLAIN AGpvZQBzZWNyZXQ="))[:3] == "535"
        assert (await client.ask("AUTH NTLM x"))[:3] == "504"
    assert asked.heard() == [("starttls", ""), ("auth", "PLAIN")]
    assert "filter-response|tls|proceed" in served.reports()


class _NoUsers:
    async def check(self, service: str, key: str) -> bool:
        return False

    async def lookup(self, service: str, key: str) -> str | None:
        return None

    async def fetch(self, service: str) -> tuple[str, ...]:
        return ()


async def test_what_comes_in_the_clear_while_filters_are_asked_is_not_taken_for_encrypted(identity: Identity) -> None:
    """RFC 3207, 6: else a man in the middle could put commands into an encrypted session."""
    slow = _Slow()
    listener = Listener(name="mx", tls=ServerTls(mode="StartTLS", certificates=("c",)))
    screens = Filters({"f": slow})
    async with serve(listener, screens=screens, certificates={"c": identity.certificate}) as served:
        client = await served.greeted()
        await client.send("STARTTLS\r\n")
        await served.until(lambda: slow.waiting)
        await client.send("MAIL FROM:<evil@client.example>\r\n")
        await served.until(lambda: len(next(iter(served.acceptor._crowd))._input) > 0)  # type: ignore[attr-defined]
        slow.go()
        assert (await client.reply()).startswith("554 ")
        assert await client.closed()


class _Slow(Scripted):
    def __init__(self) -> None:
        super().__init__(("starttls",))
        self._event = asyncio.Event()
        self.waiting = False

    def go(self) -> None:
        self._event.set()

    async def decide(self, phase: str, facts: object, parameter: str) -> Decision:
        self.waiting = True
        await self._event.wait()
        return PROCEED


async def test_implicit_tls_lets_the_refusal_be_read(identity: Identity) -> None:
    listener = Listener(name="mx", tls=ServerTls(mode="Implicit", certificates=("c",)))
    refusing = Filters({"f": builtin("connect", action("reject", code=554, text="no"))})
    async with serve(listener, screens=refusing, certificates={"c": identity.certificate}) as served:
        context: ssl.SSLContext = identity.client()
        client = await served.connect(tls=context)
        assert await client.reply() == "554 5.7.1 no"


async def test_a_disconnect_is_a_disconnect_wherever_it_is_said() -> None:
    filters = Filters({"f": Scripted(("commit",), lambda *_: Disconnect(Reply(550, "enough", "5.7.1")))})
    async with serve(screens=filters) as served:
        client = await served.greeted()
        await client.envelope()
        assert await client.data(LETTER) == "550 5.7.1 enough"
        assert await client.closed()


async def test_conditions_look_at_the_phase_s_own_parameter() -> None:
    bad = Criterion(kind="mail-from", values=("@bad.test",))
    bob = Criterion(kind="rcpt-to", values=("bob@example.test",))
    filters = Filters({
        "from": builtin("mail-from", action("reject", text="not you"), bad),
        "to": builtin("rcpt-to", action("reject", text="not there"), bob),
    })  # fmt: skip
    async with serve(screens=filters) as served:
        client = await served.greeted()
        assert await client.ask("MAIL FROM:<x@bad.test>") == "550 5.7.1 not you"
        assert await client.ask("MAIL FROM:<x@good.test>") == "250 2.0.0 Ok"
        assert await client.ask("RCPT TO:<BOB@Example.TEST>") == "550 5.7.1 not there"
        assert (await client.ask("RCPT TO:<alice@example.test>"))[:3] == "250"
    assert [each.outcome for each in served.of(Attempt)][:1] == ["policy_rejected"]


async def test_saying_something_goes_on_to_the_next_filter() -> None:
    said, last = Scripted(("data",), lambda *_: Say("look | at\tthis")), Scripted(("data",))
    async with serve(screens=Filters({"a": said, "b": last})) as served:
        await _send(served)
    assert last.heard() == [("data", "")]
    assert "filter-report|proc|a|look | at\tthis" in served.reports()


async def test_a_reject_of_a_program_at_rcpt_is_counted_as_the_filter_s() -> None:
    filters = Filters({"f": Scripted(("rcpt-to",), lambda *_: Reject(Reply(550, "no", "5.7.1")))})
    async with serve(screens=filters) as served:
        client = await served.greeted()
        await client.ask("MAIL FROM:<a@b.test>")
        await client.ask("RCPT TO:<alice@example.test>")
    found = [each for each in served.events if type(each).__name__ == "TxRcpt"]
    assert [(each.result, each.reason) for each in found] == [("permfail", "filter")]  # type: ignore[union-attr]
