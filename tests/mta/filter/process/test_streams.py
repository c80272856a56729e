"""Content goes through a filter line by line, and comes back as the filter gives it."""

import asyncio
import time

import pytest

from paquebot_mta.config.filters import Process
from paquebot_mta.filter.contract import FilterError, LineFilter
from paquebot_mta.filter.decisions import PROCEED
from paquebot_mta.filter.process import allowance
from paquebot_mta.filter.process.process_filter import ProcessFilter
from paquebot_mta.mail.ids import SessionId
from paquebot_mta.telemetry.bus import Bus
from tests.mta.filter.process.stage import Notices, facts, probe, running, until

DATA_LINE = "filter:smtp-in:data-line"
CONTENT = b"Subject: a|b\r\n\r\n.dot\r\n..two\r\n.\r\n\xff\xfe 8bit\r\n"


async def _pass(found: ProcessFilter, content: bytes, session: str = "1" * 16) -> bytes:
    return await _through(found.open_lines(facts(session)), content)


async def _through(lines: LineFilter, content: bytes) -> bytes:
    parts = content.splitlines(keepends=True)
    got = [await lines.feed(b"".join(parts[at : at + 50])) for at in range(0, len(parts), 50)]
    return b"".join([*got, await lines.finish()])


def _settings(mode: str, timeout_seconds: float = 10.0) -> Process:
    return Process(command=probe(mode, DATA_LINE), timeout_seconds=timeout_seconds)


@pytest.mark.parametrize("mode", ["same", "late"])
async def test_content_comes_back_byte_by_byte_whenever_the_filter_likes(mode: str) -> None:
    async with running(Bus(), _settings(mode)) as found:
        assert await _pass(found, CONTENT) == CONTENT
        assert await _pass(found, b"") == b""


async def test_a_filter_may_give_more_lines() -> None:
    async with running(Bus(), _settings("double")) as found:
        assert await _pass(found, b"a\r\n.b\r\n") == b"a\r\na\r\n.b\r\n.b\r\n"


async def test_a_filter_may_give_the_longest_line_that_clients_may_send() -> None:
    async with running(Bus(), _settings("long")) as found:
        assert await _pass(found, b"a\r\n") == b"a".ljust(65_533, b"x") + b"\r\n"


async def test_streams_of_sessions_never_mix() -> None:
    async with running(Bus(), _settings("same")) as found:
        contents = [b"%d line\r\n" % number * 2_000 for number in range(5)]
        asked = [_pass(found, content, f"{number:016x}") for number, content in enumerate(contents)]
        assert await asyncio.gather(*asked) == contents


async def test_a_big_message_goes_through_with_bounded_queues() -> None:
    content = (b"x" * 998 + b"\r\n") * 8_000
    async with running(Bus(), _settings("same")) as found:
        assert await _pass(found, content) == content


@pytest.mark.parametrize(
    ("mode", "cause"),
    [
        ("loud", "far more"),
        ("cr", "bare CR"),
        ("nul", "NUL"),
        ("longer", "too long a line"),
        ("mute", "hangs"),
        ("decide", "data-line"),
    ],
)
async def test_a_stream_that_breaks_fails_the_message(mode: str, cause: str) -> None:
    async with running(Bus(), _settings(mode, timeout_seconds=1.0)) as found:
        with pytest.raises(FilterError, match=cause):
            await _pass(found, CONTENT * 20)
        await until(lambda: found.status().waiting == 0)


async def test_a_filter_that_gives_nothing_back_and_says_nothing_is_started_anew() -> None:
    bus = Bus()
    notices = Notices(bus)
    async with running(bus, _settings("mute", timeout_seconds=0.2)) as found:
        with pytest.raises(FilterError) as caught:
            await _pass(found, CONTENT)
        assert caught.value.reason == "timeout"
        await until(lambda: found.status().restarts == 1 and not found.trouble())
        assert "hangs" in str(notices.named("filter.timeout")[0].details["cause"])


async def test_a_filter_that_never_comes_to_an_end_is_waited_for_ten_deadlines() -> None:
    async with running(Bus(), _settings("trickle", timeout_seconds=0.2)) as found:
        began = time.monotonic()
        with pytest.raises(FilterError, match="in time") as caught:
            await asyncio.wait_for(_pass(found, CONTENT), 10.0)
        assert caught.value.reason == "timeout"
        assert time.monotonic() - began >= 2.0
        assert found.status().waiting == 0


async def test_a_filter_that_answers_others_meanwhile_fails_that_message_only() -> None:
    bus = Bus()
    settings = Process(command=probe("mute", f"{DATA_LINE},filter:smtp-in:helo"), timeout_seconds=0.3)
    async with running(bus, settings) as found:
        late = asyncio.ensure_future(_pass(found, CONTENT))
        for _ in range(3):
            await asyncio.sleep(0.08)
            assert await found.decide("helo", facts("2" * 16), "x") == PROCEED
        with pytest.raises(FilterError, match="in time"):
            await late
        assert found.trouble() == ""
        assert found.status().restarts == 0


async def test_content_that_comes_back_when_nobody_waits_any_more_is_no_flood(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allowance, "BURST_BYTES", 10_000)
    monkeypatch.setattr(allowance, "BYTES_PER_SECOND", 0)
    settings = Process(command=probe("late", f"{DATA_LINE},filter:smtp-in:helo"))
    async with running(Bus(), settings) as found:
        for number in range(3):
            lines = found.open_lines(facts(f"{number:016x}"))
            await lines.feed(CONTENT * 100)
            waiting = asyncio.ensure_future(lines.finish())
            await asyncio.sleep(0)
            found.forget(SessionId(f"{number:016x}"))
            with pytest.raises(FilterError, match="over"):
                await waiting
            assert await found.decide("helo", facts("9" * 16), "x") == PROCEED
        assert found.trouble() == ""


async def test_a_stream_that_is_given_up_is_forgotten() -> None:
    async with running(Bus(), _settings("same")) as found:
        lines = found.open_lines(facts())
        await lines.feed(b"a\r\n")
        lines.abort()
        assert found.status().waiting == 0
        assert await _pass(found, CONTENT) == CONTENT


async def test_a_filter_that_ends_fails_its_streams() -> None:
    async with running(Bus(), _settings("same")) as found:
        lines = found.open_lines(facts())
        assert found.status().waiting == 1
        await found.close()
        with pytest.raises(FilterError):
            await lines.finish()
