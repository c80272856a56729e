"""The filters of examples/filters do what their first lines say."""

import sys
from pathlib import Path

from paquebot_mta.config.filters import Process
from paquebot_mta.filter.decisions import PROCEED, Reject, Say
from paquebot_mta.mail.reply import Reply
from paquebot_mta.telemetry.bus import Bus
from paquebot_mta.telemetry.events import LinkConnect, TxCommit
from tests.mta.filter.process.stage import M, Notices, S, facts, running, until

EXAMPLES = Path(__file__).parents[4] / "examples" / "filters"


async def test_hello_in_python_refuses_nobody_and_counts() -> None:
    bus = Bus()
    notices = Notices(bus)
    async with running(bus, Process(command=(sys.executable, str(EXAMPLES / "hello.py")))) as found:
        assert await found.decide("rcpt-to", facts(), "alice@example.test") == PROCEED
        refusal = Reject(Reply(550, "Nobody is here", "5.1.1"))
        assert await found.decide("rcpt-to", facts(), "nobody@example.test") == refusal
        bus.emit(LinkConnect(direction="in", session=S, endpoint="mx", source="192.0.2.1:1", destination="x:25"))
        bus.emit(TxCommit(direction="in", session=S, endpoint="mx", msgid=M, size=1))
        await until(lambda: bool(notices.named("filter.stderr")))
        assert notices.named("filter.stderr")[0].details["line"] == "1 messages so far"


async def test_hello_in_shell_greets_and_turns_away() -> None:
    async with running(Bus(), Process(command=("/bin/sh", str(EXAMPLES / "hello.sh")))) as found:
        assert await found.decide("ehlo", facts(), "client.test") == Say("hello client.test")
        assert await found.decide("helo", facts(), "localhost") == Reject(Reply(550, "You are not me", "5.7.1"))


async def test_footer_adds_a_field_and_a_line() -> None:
    async with running(Bus(), Process(command=(sys.executable, str(EXAMPLES / "footer.py")))) as found:
        for _ in range(2):
            lines = found.open_lines(facts())
            got = await lines.feed(b"Subject: a|b\r\n\r\n.dot\r\n") + await lines.finish()
            assert got == b"X-Footer: yes\r\nSubject: a|b\r\n\r\n.dot\r\nSent through our own filter\r\n"
