"""The author's own examples of built-in filters, word for word, and what clients and reports make of them.

filter check_rdns phase connect match !rdns disconnect "550 GO AWAY"
filter check_rdns phase connect match !rdns junk
"""

from typing import Literal

import pytest

from paquebot_mta.config.filters import Criterion
from paquebot_mta.config.listeners import Listener, ProxyProtocol
from tests.mta.accept.filters import Filters, Lines, Scripted, action, builtin
from tests.mta.accept.support import Client, Served, serve

NO_NAME = Criterion(kind="not", items=(Criterion(kind="rdns"),))
GO_AWAY = builtin("connect", action("disconnect", code=550, status="", text="GO AWAY"), NO_NAME)
JUNK = builtin("connect", action("junk"), NO_NAME)
STRANGER, KNOWN = "192.0.2.7", "192.0.2.8"
MX = Listener(name="mx", proxy_protocol=ProxyProtocol(trusted=("127.0.0.0/8",)))
LETTER = b"Subject: x\r\n\r\nhello\r\n.\r\n"


async def name_of(address: str) -> tuple[str, Literal["pass", "fail", "error"]]:
    return ("mail.else.test", "pass") if address == KNOWN else ("<unknown>", "error")


async def come(served: Served, address: str) -> Client:
    client = await served.connect()
    await client.send(f"PROXY TCP4 {address} 198.51.100.2 4711 25\r\n")
    return client


def decisions(served: Served) -> list[str]:
    return [line for line in served.reports() if line.startswith("filter-") and not line.endswith("|proceed")]


async def test_who_has_no_name_is_told_to_go_away() -> None:
    async with serve(MX, screens=Filters({"check_rdns": GO_AWAY}), lookup_name=name_of) as served:
        stranger = await come(served, STRANGER)
        assert await stranger.reply() == "550 GO AWAY"
        assert await stranger.closed()
        known = await come(served, KNOWN)
        assert (await known.reply()).startswith("220 ")
        assert decisions(served) == ["filter-response|connected|disconnect|550 GO AWAY"]


async def test_all_messages_of_who_has_no_name_are_marked_before_anything_else() -> None:
    async with serve(MX, screens=Filters({"check_rdns": JUNK}), lookup_name=name_of) as served:
        for address in (STRANGER, KNOWN):
            client = await come(served, address)
            await client.greet()
            for _ in range(2):
                await client.envelope()
                assert (await client.data(LETTER)).startswith("250 ")
            await client.ask("QUIT")
        contents = [content.split(b" ")[0] for _, content in served.spool.stored.values()]
        assert decisions(served) == ["filter-response|connected|junk"]
    assert contents == [b"X-Spam:", b"X-Spam:", b"Received:", b"Received:"]


@pytest.mark.parametrize("phase", ["mail-from", "rcpt-to", "data"])
async def test_who_looks_at_content_sees_the_mark_and_it_is_there_once(phase: str) -> None:
    seen: list[bytes] = []

    def keep(line: bytes) -> bytes:
        seen.append(line)
        return line

    marking = builtin(phase, action("junk"))  # type: ignore[arg-type]
    filters = Filters({"mark": marking, "see": Scripted(lines=lambda: Lines(keep))})
    async with serve(screens=filters) as served:
        client = await served.greeted()
        await client.envelope()
        await client.data(LETTER)
        ((_, content),) = served.spool.stored.values()
    assert [line.partition(b":")[0] for line in seen[:2]] == [b"X-Spam", b"Received"]
    assert content.startswith(b"X-Spam: yes\r\nReceived: ")
    assert content.count(b"X-Spam") == 1
