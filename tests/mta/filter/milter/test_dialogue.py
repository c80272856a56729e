"""What a milter is told, in which order, and what its answers mean."""

import pytest

from paquebot_mta.config.filters import Phase
from paquebot_mta.filter.contract import Changes, Facts
from paquebot_mta.filter.decisions import JUNK, PROCEED, Decision, Disconnect, Reject
from paquebot_mta.filter.milter.milter import MilterFilter
from paquebot_mta.filter.milter.options import NO_REPLY, NO_STEP, SKIP
from paquebot_mta.filter.milter.wire import packet
from paquebot_mta.mail.ids import Msgid
from paquebot_mta.mail.reply import Reply

from ..asked import MSGID, SESSION, MemoryContent, facts
from .scripted import ScriptedMilter, asked

LETTER = b"From: joe@else.test\r\nSubject:  two\r\n spaces\r\nnonsense\r\n\r\nhello\r\n.dot\r\n"
JOE, BOB = "joe@else.test", "bob@example.test"
NAMES = {"client_name": "mail.else.test", "fcrdns": "pass", "hostname": "mx.example.test"}


def known(**more: object) -> Facts:
    usual: dict[str, object] = {"msgid": MSGID, "reverse_path": JOE, "recipients": [BOB], **NAMES}
    return facts("192.0.2.1", SESSION, **(usual | more))


async def converse(milter: MilterFilter, content: bytes = LETTER) -> tuple[Decision, Changes]:
    """Go through a whole session until the message is judged."""
    steps: tuple[tuple[Phase, Facts, str], ...] = (
        ("connect", facts("192.0.2.1", SESSION, helo="", **NAMES), "mail.else.test|192.0.2.1"),
        ("ehlo", facts("192.0.2.1", SESSION, helo="", **NAMES), "client.example.test"),
        ("mail-from", facts("192.0.2.1", SESSION, **NAMES), JOE),
        ("rcpt-to", known(recipients=[]), BOB),
        ("data", known(), ""),
    )
    for phase, found, parameter in steps:
        decision = await milter.decide(phase, found, parameter)
        if decision != PROCEED:
            return decision, Changes()
    return await milter.judge(known(), MemoryContent(content))


async def test_everything_is_told_once_and_in_order() -> None:
    script = ScriptedMilter()
    async with asked(script) as milter:
        assert await converse(milter) == (PROCEED, Changes())
    assert script.letters() == b"CHMRTLLNBEQ"
    assert script.data(b"C") == [b"mail.else.test\x004\x12\x67192.0.2.1\x00"]
    assert script.data(b"H") == [b"client.example.test\x00"]
    assert script.data(b"M") == [b"<joe@else.test>\x00"]
    assert script.data(b"R") == [b"<bob@example.test>\x00"]
    assert script.data(b"L") == [b"From\x00joe@else.test\x00", b"Subject\x00 two\n spaces\x00"]
    assert script.data(b"B") == [b"hello\r\n.dot\r\n"]


async def test_spaces_before_values_are_told_to_who_wants_them() -> None:
    script = ScriptedMilter(steps=0x100000)
    async with asked(script) as milter:
        await converse(milter)
    assert script.data(b"L")[1] == b"Subject\x00  two\n spaces\x00"


async def test_macros_are_told_with_their_steps() -> None:
    script = ScriptedMilter()
    async with asked(script) as milter:
        await converse(milter)
        await milter.decide("mail-from", known(user="joe", tls="TLSv1.3:AES:256"), JOE)
    assert script.macros(b"C") == {
        "j": "mx.example.test",
        "v": "Paquebot",
        "{daemon_name}": "mx",
        "{client_addr}": "192.0.2.1",
        "{client_name}": "mail.else.test",
        "{client_port}": "4711",
        "{client_ptr}": "mail.else.test",
        "{client_resolve}": "OK",
        "_": "mail.else.test [192.0.2.1]",
    }
    assert script.macros(b"M").items() >= {"{auth_authen}": "joe", "{cipher}": "AES", "{mail_addr}": JOE}.items()
    assert script.macros(b"R")["{rcpt_addr}"] == BOB
    assert script.macros(b"E") == {"i": MSGID}


async def test_a_program_of_this_machine_is_told_as_loopback_and_ipv6_as_ipv6() -> None:
    script = ScriptedMilter()
    async with asked(script) as milter:
        await milter.decide("connect", facts("local"), "")
        milter.forget(SESSION)
        await milter.decide("connect", facts("2001:db8::1"), "")
    assert script.data(b"C") == [b"localhost\x004\0\x00127.0.0.1\x00", b"[2001:db8::1]\x006\x12\x672001:db8::1\x00"]


@pytest.mark.parametrize(
    ("name", "fcrdns", "resolve"),
    [("mail.else.test", "fail", "FORGED"), ("mail.else.test", "error", "TEMP"), ("<unknown>", "fail", "FAIL")],
)
async def test_a_name_that_does_not_lead_back_is_no_name_to_a_milter(name: str, fcrdns: str, resolve: str) -> None:
    script = ScriptedMilter()
    async with asked(script) as milter:
        await milter.decide("connect", facts("192.0.2.1", SESSION, client_name=name, fcrdns=fcrdns), "")
    assert script.data(b"C") == [b"[192.0.2.1]\x004\x12\x67192.0.2.1\x00"]
    macros = script.macros(b"C")
    assert (macros["{client_name}"], macros["{client_resolve}"]) == ("[192.0.2.1]", resolve)
    assert macros["{client_ptr}"] == ("[192.0.2.1]" if name == "<unknown>" else name)
    assert macros["_"] == "[192.0.2.1] [192.0.2.1]"


async def test_a_milter_that_is_asked_late_is_told_what_it_missed() -> None:
    script = ScriptedMilter()
    async with asked(script) as milter:
        await milter.decide("rcpt-to", known(recipients=[]), BOB)
        await milter.judge(known(recipients=[BOB, "eve@example.test"]), MemoryContent(LETTER))
    assert script.letters() == b"CHMRRLLNBEQ"


async def test_a_message_that_was_given_up_is_aborted_and_the_next_one_told() -> None:
    script = ScriptedMilter()
    async with asked(script) as milter:
        await converse(milter)
        await milter.decide("mail-from", known(msgid=None), JOE)
        await milter.decide("mail-from", known(msgid=None), JOE)
        await milter.decide("rcpt-to", known(msgid=Msgid("00000002")), BOB)
    assert script.letters() == b"CHMRTLLNBEMAMRQ"
    assert script.connections == 1


async def test_no_message_is_judged_under_the_sender_of_one_that_was_given_up() -> None:
    """A filter before it may have ended the phase of the second MAIL, so that it was asked about the first only."""
    script = ScriptedMilter()
    async with asked(script) as milter:
        await milter.decide("mail-from", known(msgid=None, reverse_path=None), "president@bank.test")
        await milter.decide("rcpt-to", known(reverse_path="spam@bulk.test", recipients=[]), BOB)
        await milter.judge(known(reverse_path="spam@bulk.test"), MemoryContent(LETTER))
    assert script.letters() == b"CHMAMRLLNBEQ"
    assert script.data(b"M") == [b"<president@bank.test>\x00", b"<spam@bulk.test>\x00"]


async def test_a_sender_that_was_rewritten_after_it_was_told_is_told_again() -> None:
    script = ScriptedMilter()
    async with asked(script) as milter:
        await milter.decide("mail-from", known(msgid=None, reverse_path=None), "old@else.test")
        await milter.judge(known(), MemoryContent(LETTER))
    assert script.data(b"M") == [b"<old@else.test>\x00", b"<joe@else.test>\x00"]


async def test_a_second_greeting_is_told_an_equal_one_is_not() -> None:
    script = ScriptedMilter()
    async with asked(script) as milter:
        for name in ("a.test", "a.test", "b.test"):
            await milter.decide("ehlo", facts(helo=""), name)
    assert script.data(b"H") == [b"a.test\x00", b"b.test\x00"]


@pytest.mark.parametrize("letter", [b"C", b"H", b"M", b"R", b"T", b"L", b"N", b"B", b"E"])
@pytest.mark.parametrize(
    ("answer", "decision"),
    [
        (packet(b"r"), Reject(Reply(550, "Command rejected", "5.7.1"))),
        (packet(b"t"), Reject(Reply(451, "Service unavailable, try again later", "4.7.1"))),
        (packet(b"y", b"554 5.7.9 go %%away\0"), Reject(Reply(554, "go %away", "5.7.9"))),
        (packet(b"y", b"421 bye\0"), Disconnect(Reply(421, "bye"))),
        (packet(b"4"), Disconnect(Reply(421, "Server shutting down", "4.7.0"))),
    ],
)
async def test_each_step_may_be_refused(letter: bytes, answer: bytes, decision: Decision) -> None:
    script = ScriptedMilter({letter: answer})
    async with asked(script) as milter:
        assert (await converse(milter))[0] == decision


async def test_a_refused_connection_stays_refused() -> None:
    script = ScriptedMilter({b"C": packet(b"r")})
    async with asked(script) as milter:
        await milter.decide("connect", facts(), "")
        assert isinstance(await milter.decide("mail-from", facts(), JOE), Reject)
    assert script.letters() == b"CQ"


async def test_a_refused_recipient_leaves_the_others() -> None:
    script = ScriptedMilter({b"R": lambda data: packet(b"r") if b"eve" in data else packet(b"c")})
    async with asked(script) as milter:
        assert await milter.decide("rcpt-to", known(recipients=[]), BOB) == PROCEED
        assert isinstance(await milter.decide("rcpt-to", known(), "eve@example.test"), Reject)
        assert (await milter.judge(known(), MemoryContent(LETTER)))[0] == PROCEED


async def test_a_message_is_judged_without_recipients_that_were_refused_after_it_was_asked() -> None:
    script = ScriptedMilter()
    async with asked(script) as milter:
        await milter.decide("rcpt-to", known(recipients=[]), "nobody@example.test")
        await milter.decide("rcpt-to", known(recipients=[]), BOB)
        assert await milter.decide("data", known(), "") == PROCEED
        assert (await milter.judge(known(), MemoryContent(LETTER)))[0] == PROCEED
    assert script.letters() == b"CHMRRAMRTLLNBEQ"
    assert script.data(b"R")[-1] == f"<{BOB}>\0".encode()


async def test_a_recipient_that_it_refused_itself_is_no_reason_to_begin_once_more() -> None:
    script = ScriptedMilter({b"R": lambda data: packet(b"r") if b"eve" in data else packet(b"c")})
    async with asked(script) as milter:
        await milter.decide("rcpt-to", known(recipients=[]), BOB)
        await milter.decide("rcpt-to", known(), "eve@example.test")
        await milter.judge(known(), MemoryContent(LETTER))
    assert script.letters() == b"CHMRRLLNBEQ"


async def test_a_reply_of_several_lines_is_read() -> None:
    script = ScriptedMilter({b"M": packet(b"y", b"550-5.7.1 one\r\n550 5.7.1 two\0")})
    async with asked(script) as milter:
        assert (await converse(milter))[0] == Reject(Reply(550, "one\ntwo", "5.7.1"))


@pytest.mark.parametrize(("letter", "told"), [(b"C", b"CQ"), (b"H", b"CHQ")])
async def test_an_accepted_session_is_told_no_more(letter: bytes, told: bytes) -> None:
    script = ScriptedMilter({letter: packet(b"a")})
    async with asked(script) as milter:
        assert (await converse(milter))[0] == PROCEED
        assert (await converse(milter))[0] == PROCEED
    assert script.letters() == told


@pytest.mark.parametrize("letter", [b"M", b"R", b"T", b"L", b"N", b"B", b"E"])
async def test_an_accepted_message_is_told_no_more_and_the_next_one_is(letter: bytes) -> None:
    script = ScriptedMilter({letter: packet(b"a")})
    async with asked(script) as milter:
        assert await converse(milter) == (PROCEED, Changes())
        first = len(script.told)
        assert await converse(milter) == (PROCEED, Changes())
    assert script.letters().count(b"M") == 2
    assert len(script.told) < 2 * first + 2


@pytest.mark.parametrize("letter", [b"M", b"R", b"N", b"E"])
async def test_a_discarded_message_is_left_without_recipients(letter: bytes) -> None:
    script = ScriptedMilter({letter: packet(b"d")})
    async with asked(script) as milter:
        assert await converse(milter) == (PROCEED, Changes(remove_recipients=(BOB,)))


@pytest.mark.parametrize("letter", sorted(NO_STEP.keys() - {b"U"}))
async def test_steps_that_are_not_wanted_are_not_told(letter: bytes) -> None:
    script = ScriptedMilter(steps=NO_STEP[letter])
    async with asked(script) as milter:
        assert (await converse(milter))[0] == PROCEED
    assert letter not in script.letters()
    assert b"E" in script.letters()


async def test_answers_that_will_not_come_are_not_waited_for() -> None:
    letters = NO_REPLY.keys() - {b"U"}
    script = ScriptedMilter(steps=sum(NO_REPLY[letter] for letter in letters))
    script.silent = frozenset(letters)
    async with asked(script) as milter:
        assert (await converse(milter))[0] == PROCEED
    assert script.letters() == b"CHMRTLLNBEQ"


async def test_a_long_body_comes_in_pieces_and_may_be_skipped() -> None:
    long = LETTER + b"x" * 200_000
    script, skipping = ScriptedMilter(), ScriptedMilter({b"B": packet(b"s")}, steps=SKIP)
    for each in (script, skipping):
        async with asked(each) as milter:
            await converse(milter, long)
    assert b"".join(script.data(b"B")) == long.partition(b"\r\n\r\n")[2]
    assert max(map(len, script.data(b"B"))) <= 65_535
    assert len(skipping.data(b"B")) == 1


async def test_an_old_milter_is_not_told_of_data() -> None:
    script = ScriptedMilter(version=2)
    async with asked(script) as milter:
        assert (await converse(milter))[0] == PROCEED
    assert b"T" not in script.letters()


async def test_a_quarantined_message_is_junk() -> None:
    script = ScriptedMilter({b"E": packet(b"q", b"virus\0") + packet(b"c")})
    async with asked(script) as milter:
        assert (await converse(milter))[0] == JUNK
