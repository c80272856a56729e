"""One message after another: what is answered, stored and told, in which order."""

import pytest

from paquebot_mta.accept import receiver
from paquebot_mta.telemetry.events import Attempt, QueueEvent
from tests.mta.accept.support import serve

MESSAGE = b"Subject: hi\r\n\r\n..dot\r\nbody\r\n"


async def test_an_accepted_message_is_stored_as_it_came_behind_its_trace_field() -> None:
    async with serve() as served:
        client = await served.greeted()
        await client.envelope()
        reply = await client.data(MESSAGE + b".\r\n")
        (message,) = served.spool.messages()
        assert reply == f"250 2.0.0 {message.msgid} Message accepted for delivery"
        assert served.spool.contents() == [b"Subject: hi\r\n\r\n.dot\r\nbody\r\n"]
        assert served.accepted == [message]
        assert (message.reverse_path, message.protocol, message.helo) == (
            "joe@client.example",
            "ESMTP",
            "client.example",
        )
        assert [each.recipient for each in message.envelopes] == ["alice@example.test"]
        assert await client.ask("QUIT") == "221 2.0.0 Bye"
        assert await client.closed()


async def test_the_events_of_a_success_come_in_the_order_of_the_reference() -> None:
    async with serve() as served:
        client = await served.connect()
        await client.greet()
        await client.envelope("list@example.test")
        await client.data(b"a: b\r\n\r\n.\r\n")
        await client.ask("QUIT")
        await served.finished()
        (message,) = served.spool.messages()
        msgid, evpids = message.msgid, [each.evpid for each in message.envelopes]
        source = served.reports()[0].split("|")[3]
        assert served.reports() == [
            f"link-connect|localhost|pass|{source}|{served.acceptor.addresses()['mx']}",
            "protocol-server|220 mx.example.test ESMTP Paquebot",
            "link-greeting|mx.example.test",
            "protocol-client|EHLO client.example",
            "link-identify|EHLO|client.example",
            "protocol-server|250-mx.example.test Hello client.example [127.0.0.1], pleased to meet you",
            "protocol-server|250-8BITMIME",
            "protocol-server|250-ENHANCEDSTATUSCODES",
            "protocol-server|250-SIZE 36700160",
            "protocol-server|250-DSN",
            "protocol-server|250-PIPELINING",
            "protocol-server|250-CHUNKING",
            "protocol-server|250-SMTPUTF8",
            "protocol-server|250 HELP",
            "protocol-client|MAIL FROM:<joe@client.example>",
            "protocol-server|250 2.0.0 Ok",
            f"tx-begin|{msgid}",
            f"tx-mail|{msgid}|ok|joe@client.example",
            "protocol-client|RCPT TO:<list@example.test>",
            f"tx-envelope|{msgid}|{evpids[0]}",
            f"tx-envelope|{msgid}|{evpids[1]}",
            "protocol-server|250 2.1.5 Destination address valid: Recipient ok",
            f"tx-rcpt|{msgid}|ok|list@example.test",
            "protocol-client|DATA",
            'protocol-server|354 Enter mail, end with "." on a line by itself',
            f"tx-data|{msgid}|ok",
            "protocol-client|.",
            f"protocol-server|250 2.0.0 {msgid} Message accepted for delivery",
            f"tx-commit|{msgid}|{message.size}",
            f"tx-reset|{msgid}",
            "protocol-client|QUIT",
            "protocol-server|221 2.0.0 Bye",
            "link-disconnect",
        ]
        assert served.of(Attempt) == [Attempt(direction="in", outcome="accepted")]
        assert [each.change for each in served.of(QueueEvent)] == ["committed"]


async def test_a_rejected_recipient_is_reported_with_its_reason() -> None:
    async with serve() as served:
        client = await served.greeted()
        await client.ask("MAIL FROM:<>")
        assert await client.ask("RCPT TO:<nobody@example.test>") == "550 Invalid recipient: <nobody@example.test>"
        msgid = served.spool.drafts[0].msgid
        assert served.reports()[-5:] == [
            f"tx-begin|{msgid}",
            f"tx-mail|{msgid}|ok|",
            "protocol-client|RCPT TO:<nobody@example.test>",
            "protocol-server|550 Invalid recipient: <nobody@example.test>",
            f"tx-rcpt|{msgid}|permfail|nobody@example.test",
        ]
        await client.ask("RSET")
        assert served.of(Attempt) == [Attempt(direction="in", outcome="policy_rejected")]


async def test_quit_inside_a_transaction_rolls_back_after_the_221() -> None:
    async with serve() as served:
        client = await served.greeted()
        await client.envelope()
        await client.ask("QUIT")
        await served.finished()
        msgid = served.spool.drafts[0].msgid
        assert served.reports()[-5:] == [
            "protocol-client|QUIT",
            "protocol-server|221 2.0.0 Bye",
            f"tx-rollback|{msgid}",
            f"tx-reset|{msgid}",
            "link-disconnect",
        ]
        assert served.spool.drafts[0].aborted
        assert served.of(Attempt) == [Attempt(direction="in", outcome="client_aborted")]


async def test_rset_and_ehlo_forget_the_transaction() -> None:
    async with serve() as served:
        client = await served.greeted()
        for command in ("RSET", "EHLO again.example"):
            await client.envelope()
            assert (await client.ask(command)).startswith("250")
            assert (await client.ask("RCPT TO:<alice@example.test>")).startswith("503 5.5.1")
        assert [draft.aborted for draft in served.spool.drafts] == [True, True]
        assert sum(line.startswith("tx-rollback") for line in served.reports()) == 2


async def test_a_pipelined_transaction_is_answered_in_order() -> None:
    async with serve() as served:
        client = await served.greeted()
        await client.send(
            "MAIL FROM:<joe@client.example>\r\n"
            "RCPT TO:<alice@example.test>\r\nRCPT TO:<nobody@example.test>\r\nDATA\r\n"
        )
        assert [(await client.reply())[:3] for _ in range(4)] == ["250", "250", "550", "354"]
        await client.send(b"a: b\r\n\r\n.\r\nMAIL FROM:<>\r\nQUIT\r\n")
        assert [(await client.reply())[:3] for _ in range(3)] == ["250", "250", "221"]
        assert len(served.spool.stored) == 1


async def test_bdat_carries_content_byte_for_byte() -> None:
    async with serve() as served:
        client = await served.greeted()
        await client.envelope()
        await client.send(b"BDAT 8\r\na: b\r\n\r\nBDAT 15 LAST\r\n.\r\nMAIL FROM")
        assert await client.reply() == "250 2.0.0 8 octets received"
        await client.send(b":\r\nNOOP\r\n")
        assert (await client.reply()).endswith("Message accepted for delivery")
        assert await client.reply() == "250 2.0.0 Ok"
        assert served.spool.contents() == [b"a: b\r\n\r\n.\r\nMAIL FROM:\r\n"]


async def test_bdat_out_of_order_is_refused_and_its_bytes_skipped() -> None:
    async with serve() as served:
        client = await served.greeted()
        await client.send(b"BDAT 12\r\nNOOP\r\nRSET\r\nNOOP\r\n")
        assert [(await client.reply())[:3] for _ in range(2)] == ["503", "250"]
        await client.envelope()
        assert (await client.ask("BDAT 0")).startswith("250")
        assert (await client.ask("DATA")).startswith("503")
        assert (await client.ask("RCPT TO:<bob@example.test>")).startswith("503")
        assert (await client.ask("BDAT x")).startswith("501")
        assert (await client.ask("RSET")).startswith("250")
        assert (await client.ask("BDAT 0 LAST")).startswith("503")
        assert served.spool.stored == {}


async def test_recipients_beyond_what_a_message_can_hold_are_for_the_next_transaction(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """RFC 5321, 4.5.3.1.10: who has more comes again with the rest; aliases make many envelopes of few recipients."""
    monkeypatch.setattr(receiver, "MAX_ENVELOPES_BYTES", 400)
    async with serve() as served:
        client = await served.greeted()
        await client.ask("MAIL FROM:<joe@client.example>")
        replies = [await client.ask(f"RCPT TO:<list@example.test> ORCPT=rfc822;{number}") for number in range(3)]
        assert [reply[:9] for reply in replies] == ["250 2.1.5", "452 4.5.3", "452 4.5.3"]
        assert (await client.data(b"a: b\r\n\r\n.\r\n")).startswith("250")
        (message,) = served.spool.messages()
        assert len(message.envelopes) == 2
