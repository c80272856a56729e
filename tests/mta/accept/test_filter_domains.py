"""Filters of hosted domains: they see their recipients only, and a refusal of theirs is nobody else's."""

import pytest

from paquebot_mta.config.listeners import Listener
from paquebot_mta.filter.contract import NO_CHANGES, Changes
from paquebot_mta.filter.decisions import JUNK, PROCEED, Decision, Disconnect, Reject, Rewrite
from paquebot_mta.mail.reply import Reply
from paquebot_mta.telemetry.events import QueueEvent
from tests.mta.accept.filters import Filters, Scripted, action, builtin
from tests.mta.accept.support import Client, Served, serve

LETTER = b"Subject: x\r\n\r\nhello\r\n.\r\n"
SPAM = b"X-Spam: yes\r\n"
OURS = "mx.example.test"
"""A domain of the test rules without filters of its own."""
NO = Reject(Reply(550, "not for us", "5.7.1"))
LATER = Reject(Reply(451, "not now", "4.7.1"))


def of_domain(scripted: Scripted) -> Filters:
    return Filters({"own": scripted}, domains={"example.test": ("own",)})


async def _both(served: Served) -> tuple[Client, str]:
    client = await served.greeted()
    await client.envelope("alice@example.test", f"postmaster@{OURS}", "bob@example.test")
    return client, await client.data(LETTER)


def _stored(served: Served) -> dict[tuple[str, ...], bytes]:
    return {
        tuple(each.recipient for each in message.envelopes): content
        for message, content in served.spool.stored.values()
    }


async def test_a_domain_s_filter_is_asked_about_its_own_recipients_only() -> None:
    own = Scripted(("connect", "rcpt-to", "data", "commit"), judgement=lambda _: (PROCEED, NO_CHANGES))
    async with serve(screens=of_domain(own)) as served:
        _, reply = await _both(served)
    assert reply.startswith("250 ")
    asked = [(each.phase, each.facts.recipients) for each in own.asked]
    alice, bob = "alice@example.test", "bob@example.test"
    assert asked == [
        ("rcpt-to", []), ("rcpt-to", [alice]), ("data", [alice, bob]),
        ("commit", [alice, bob]), ("commit", [alice, bob]),
    ]  # fmt: skip
    assert set(_stored(served)) == {(alice, bob), (f"postmaster@{OURS}",)}
    assert len(served.of(QueueEvent)) == 2


async def test_recipients_of_one_domain_share_one_message() -> None:
    async with serve(screens=of_domain(Scripted(("commit",)))) as served:
        client = await served.greeted()
        await client.envelope("alice@example.test", "bob@example.test")
        assert (await client.data(LETTER)).startswith("250 ")
    assert list(_stored(served)) == [("alice@example.test", "bob@example.test")]


async def test_a_refusal_at_rcpt_is_that_recipient_s() -> None:
    refusing = Filters({"own": builtin("rcpt-to", action("reject", text="no"))}, domains={"example.test": ("own",)})
    async with serve(screens=refusing) as served:
        client = await served.greeted()
        await client.ask("MAIL FROM:<a@b.test>")
        assert await client.ask("RCPT TO:<alice@example.test>") == "550 5.7.1 no"
        assert (await client.ask(f"RCPT TO:<postmaster@{OURS}>"))[:3] == "250"
        assert (await client.data(LETTER))[:3] == "250"


BUSY = Reply(421, "busy", "4.7.0")


@pytest.mark.parametrize(
    ("decision", "said"),
    [
        (Disconnect(Reply(550, "go away", "5.7.1")), "550 5.7.1 go away"),
        (Disconnect(BUSY), "451 4.7.1 busy"),
        (Reject(BUSY), "451 4.7.1 busy"),
    ],
)
@pytest.mark.parametrize("phase", ["rcpt-to", "data", "commit", "content"])
async def test_a_domain_s_filter_never_ends_a_session(phase: str, decision: Reject | Disconnect, said: str) -> None:
    """Recipients of others may have been accepted, and whatever the client has for others comes over it, too."""
    judging = phase == "content"
    phases = () if judging else (phase,)
    own = Scripted(phases, lambda *_: decision, (lambda _: (decision, NO_CHANGES)) if judging else None)  # type: ignore[arg-type]
    async with serve(screens=of_domain(own)) as served:
        client = await served.greeted()
        await client.ask("MAIL FROM:<a@b.test>")
        reply = await client.ask("RCPT TO:<alice@example.test>")
        if phase != "rcpt-to":
            reply = await client.ask("DATA")
        if reply.startswith("354"):
            await client.send(LETTER)
            reply = await client.reply()
        assert reply == said
        await client.ask("RSET")
        await client.envelope(f"postmaster@{OURS}")
        assert (await client.data(LETTER))[:3] == "250"


async def test_over_lmtp_a_domain_s_421_is_a_451_for_its_recipients() -> None:
    async with serve(
        Listener(name="mx", role="LMTP"), screens=of_domain(Scripted(("commit",), lambda *_: Reject(BUSY)))
    ) as served:
        client = await served.connect()
        await client.reply()
        await client.ask("LHLO client.example")
        await client.envelope("alice@example.test", f"postmaster@{OURS}")
        assert [await client.data(LETTER), (await client.reply())[:3]] == ["451 4.7.1 busy", "250"]


@pytest.mark.parametrize("phase", ["data", "commit"])
async def test_what_is_refused_for_some_is_junk_for_them_and_mail_for_the_others(phase: str) -> None:
    """RFC 5321, 6.2: a notification would go to whoever the sender pretends to be."""
    own = Scripted((phase,), lambda *_: NO)  # type: ignore[arg-type]
    async with serve(screens=of_domain(own)) as served:
        _, reply = await _both(served)
    assert reply.startswith("250 ")
    stored = _stored(served)
    assert stored["alice@example.test", "bob@example.test"].startswith(SPAM + b"Received: ")
    assert stored[f"postmaster@{OURS}",].startswith(b"Received: ")


@pytest.mark.parametrize("phase", ["data", "commit"])
async def test_what_is_refused_for_all_is_refused(phase: str) -> None:
    own = Scripted((phase,), lambda *_: NO)  # type: ignore[arg-type]
    async with serve(screens=of_domain(own)) as served:
        client = await served.greeted()
        await client.envelope("alice@example.test")
        reply = await client.ask("DATA")
        if phase == "commit":
            await client.send(LETTER)
            reply = await client.reply()
        assert reply == "550 5.7.1 not for us"
    assert served.spool.stored == {}


async def test_what_is_refused_for_now_for_some_is_so_for_all() -> None:
    own = Scripted(("commit",), lambda *_: LATER)
    async with serve(screens=of_domain(own)) as served:
        _, reply = await _both(served)
    assert reply.startswith("451 4.7.1 ")
    assert served.spool.stored == {}
    assert all(draft.aborted for draft in served.spool.drafts)


async def test_over_lmtp_each_recipient_has_the_reply_of_its_domain() -> None:
    own = Scripted(("commit",), lambda *_: NO)
    async with serve(Listener(name="mx", role="LMTP"), screens=of_domain(own)) as served:
        client = await served.connect()
        await client.reply()
        await client.ask("LHLO client.example")
        await client.envelope("alice@example.test", f"postmaster@{OURS}", "bob@example.test")
        replies = [await client.data(LETTER), await client.reply(), await client.reply()]
    assert [reply[:3] for reply in replies] == ["550", "250", "550"]
    assert list(_stored(served)) == [(f"postmaster@{OURS}",)]


async def test_changes_of_a_domain_s_filter_are_in_its_copy_only() -> None:
    changes = Changes(prepend=(b"X-Own: 1\r\n",), body=b"new\r\n", remove_recipients=("bob@example.test",))
    own = Scripted(judgement=lambda _: (JUNK, changes))
    async with serve(screens=of_domain(own)) as served:
        await _both(served)
    stored = _stored(served)
    assert stored["alice@example.test",].startswith(SPAM + b"X-Own: 1\r\nReceived: ")
    assert stored["alice@example.test",].endswith(b"\r\n\r\nnew\r\n")
    assert stored[f"postmaster@{OURS}",].endswith(b"Subject: x\r\n\r\nhello\r\n")


async def test_a_domain_s_filter_adds_no_recipient_of_another_domain() -> None:
    changes = Changes(add_recipients=(f"postmaster@{OURS}", "carol@example.test"))
    async with serve(screens=of_domain(Scripted(judgement=lambda _: (PROCEED, changes)))) as served:
        client = await served.greeted()
        await client.envelope("alice@example.test")
        await client.data(LETTER)
    assert list(_stored(served)) == [("alice@example.test", "carol@example.test")]


@pytest.mark.parametrize(
    ("to", "reply"),
    [
        (f"<postmaster@{OURS}>", "451"),
        ("<x@elsewhere.test>", "451"),
        ("<x@other.test>", "451"),
        ("<bob@EXAMPLE.test>", "250"),
    ],
)
async def test_a_domain_s_filter_rewrites_recipients_within_its_domain_only(to: str, reply: str) -> None:
    """The filters of another domain would not be asked about what comes to it by a rewrite."""
    own = Scripted(("rcpt-to",), lambda *_: Rewrite(to))
    strict = Scripted(("rcpt-to",), lambda *_: NO)
    domains = {"example.test": ("own",), "other.test": ("strict",)}
    async with serve(screens=Filters({"own": own, "strict": strict}, domains=domains)) as served:
        client = await served.greeted()
        await client.ask("MAIL FROM:<a@b.test>")
        assert (await client.ask("RCPT TO:<alice@example.test>"))[:3] == reply
        if reply == "250":
            assert (await client.data(LETTER))[:3] == "250"
            assert list(_stored(served)) == [("bob@example.test",)]


async def test_the_listener_s_filters_come_first_and_work_once_for_all() -> None:
    listener = Scripted(("rcpt-to",), judgement=lambda _: (PROCEED, Changes(prepend=(b"X-All: 1\r\n",))))
    seen: list[bytes] = []

    def look(content: bytes) -> tuple[Decision, Changes]:
        seen.append(content)
        return PROCEED, NO_CHANGES

    filters = Filters({"all": listener, "own": Scripted(judgement=look)}, domains={"example.test": ("own",)})
    async with serve(screens=filters) as served:
        await _both(served)
    assert len([phase for phase, _ in listener.heard() if phase == "commit"]) == 1
    assert all(content.startswith(b"X-All: 1\r\nReceived: ") for content in _stored(served).values())
    assert seen[0].startswith(b"X-All: 1\r\n")


async def test_junk_of_a_domain_at_rcpt_marks_its_copy_only() -> None:
    own = Scripted(("rcpt-to",), lambda _, parameter: JUNK if parameter.startswith("alice") else PROCEED)
    async with serve(screens=of_domain(own)) as served:
        await _both(served)
    marked = {names: content.startswith(SPAM) for names, content in _stored(served).items()}
    assert marked == {("alice@example.test", "bob@example.test"): True, (f"postmaster@{OURS}",): False}


async def test_one_transaction_is_reported_once_whatever_its_parts() -> None:
    async with serve(screens=of_domain(Scripted(("commit",)))) as served:
        await _both(served)
    names = [line.split("|")[0] for line in served.reports()]
    assert [names.count(name) for name in ("tx-begin", "tx-commit", "tx-reset", "tx-rollback")] == [1, 1, 1, 0]
