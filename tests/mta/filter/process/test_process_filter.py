"""A process filter is asked, answers in any order, and harms nobody whatever it does."""

import asyncio
import os
from pathlib import Path

import pytest

from paquebot_mta.config.filters import Phase, Process
from paquebot_mta.filter.contract import FilterError
from paquebot_mta.filter.decisions import PROCEED, Reject, Rewrite, Say
from paquebot_mta.filter.process.process_filter import build_process
from paquebot_mta.mail.reply import Reply
from paquebot_mta.telemetry.bus import Bus
from tests.mta.filter.process.stage import MX, Notices, facts, probe, running, tools, until


async def test_a_filter_is_asked_where_it_registered() -> None:
    wanted = "filter:smtp-in:helo,filter:smtp-in:rcpt-to,filter:smtp-in:data-line"
    async with running(Bus(), Process(command=probe("echo", wanted))) as found:
        assert found.phases == {"helo", "rcpt-to"}
        assert found.streams
        assert found.trouble() == ""
        assert await found.decide("helo", facts(), "proceed") == PROCEED
        assert await found.decide("rcpt-to", facts(), "reject!550 5.7.1 no") == Reject(Reply(550, "no", "5.7.1"))


async def test_answers_come_in_any_order() -> None:
    async with running(Bus(), Process(command=probe("backwards"))) as found:
        sessions = [f"{number:016x}" for number in range(3)]
        asked = [found.decide("helo", facts(session), session) for session in sessions]
        assert await asyncio.gather(*asked) == [Rewrite(session) for session in sessions]


async def test_late_and_foreign_answers_are_ignored() -> None:
    bus = Bus()
    notices = Notices(bus)
    async with running(bus, Process(command=probe("foreign"))) as found:
        for _ in range(3):
            assert await found.decide("helo", facts(), "x") == PROCEED
        assert notices.named("filter.crashed") == []


@pytest.mark.parametrize(("see", "told"), [(False, "PLAIN"), (True, "PLAIN AGpvZQBzZWNyZXQ=")])
async def test_credentials_are_masked_unless_asked_for(see: bool, told: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    settings = Process(command=probe("proceed", "filter:smtp-in:auth", log), see_credentials=see)
    async with running(Bus(), settings) as found:
        await found.decide("auth", facts(), "PLAIN AGpvZQBzZWNyZXQ=")
    assert log.read_text().splitlines()[-1].rpartition("|")[2] == told


async def test_an_answer_that_is_late_fails_that_question_only() -> None:
    settings = Process(command=probe("deaf"), timeout_seconds=0.3)
    bus = Bus()
    notices = Notices(bus)
    async with running(bus, settings) as found:
        late = asyncio.ensure_future(found.decide("helo", facts(), "wait"))
        await asyncio.sleep(0.05)
        assert await found.decide("helo", facts(), "x") == PROCEED
        with pytest.raises(FilterError, match="in time") as caught:
            await late
        assert caught.value.reason == "timeout"
        assert await found.decide("helo", facts(), "x") == PROCEED
        assert found.status().late == 1
        assert notices.named("filter.crashed") == []


async def test_a_filter_that_hangs_is_started_anew() -> None:
    bus = Bus()
    notices = Notices(bus)
    settings = Process(command=probe("hang"), timeout_seconds=0.2)
    async with running(bus, settings) as found:
        with pytest.raises(FilterError) as caught:
            await found.decide("helo", facts(), "x")
        assert caught.value.reason == "timeout"
        assert found.trouble()
        await until(lambda: found.status().restarts == 1 and not found.trouble())
        assert "hangs" in str(notices.named("filter.timeout")[0].details["cause"])


@pytest.mark.parametrize(
    ("mode", "cause"),
    [
        ("die", "status 3"),
        ("garbage", "one moment please"),
        ("flood", "longer than"),
        ("chatter", "far more than it is asked"),
        ("strangers", "far more than it is asked"),
    ],
)
async def test_a_filter_that_breaks_fails_who_waits_and_is_started_anew(mode: str, cause: str) -> None:
    bus = Bus()
    notices = Notices(bus)
    async with running(bus, Process(command=probe(mode))) as found:
        asked = [found.decide("helo", facts(f"{number:016x}"), "x") for number in range(5)]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        assert all(isinstance(answer, FilterError) for answer in answers)
        await until(lambda: bool(notices.named("filter.crashed")))
        assert cause in str(notices.named("filter.crashed")[0].details["cause"])
        await until(lambda: not found.trouble())
        assert len(notices.named("filter.started")) == 2


async def test_standard_error_is_logged_without_control_characters() -> None:
    bus = Bus()
    notices = Notices(bus)
    async with running(bus, Process(command=probe("die"))) as found:
        with pytest.raises(FilterError):
            await found.decide("helo", facts(), "x")
        await until(lambda: bool(notices.named("filter.stderr")))
        assert notices.named("filter.stderr")[0].details["line"] == "I can't go on?"


async def test_a_program_that_is_missing_is_trouble_and_fails_every_question() -> None:
    bus = Bus()
    notices = Notices(bus)
    async with running(bus, Process(command=("/nonexistent/filter",))) as found:
        assert found.phases == {"mail-from", "rcpt-to"}
        with pytest.raises(FilterError):
            await found.decide("mail-from", facts(), "a@example.test")
        await until(lambda: bool(notices.named("filter.stderr")))
        assert "can't be run" in str(notices.named("filter.stderr")[0].details["line"])


async def test_a_session_that_ends_is_forgotten() -> None:
    async with running(Bus(), Process(command=probe("deaf"))) as found:
        waiting = asyncio.ensure_future(found.decide("helo", facts(), "wait"))
        await until(lambda: found.status().waiting == 1)
        found.forget(facts().session)
        with pytest.raises(FilterError, match="over"):
            await waiting
        assert found.status().waiting == 0


async def test_nothing_of_a_filter_is_left_behind() -> None:
    async with running(Bus(), Process(command=probe("children"))) as found:
        said = await found.decide("helo", facts(), "x")
        assert isinstance(said, Say)
        pids = [int(pid) for pid in said.message.split()]
        for pid in pids:
            os.kill(pid, 0)
    await until(lambda: not any(_lives(pid) for pid in pids))


async def test_a_filter_gets_few_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "x")
    async with running(Bus(), Process(command=probe("environment"))) as found:
        said = await found.decide("helo", facts(), "x")
        assert isinstance(said, Say)
        assert set(said.message.split()) <= {"PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "HOME", "TMPDIR"}


async def test_text_of_a_client_never_reaches_a_shell_or_another_line(tmp_path: Path) -> None:
    log = tmp_path / "log"
    async with running(Bus(), Process(command=probe("proceed", log=log))) as found:
        await found.decide("helo", facts(), "$(touch /tmp/x)|`id`\r\nfilter-result|1|2\x00")
    last = log.read_text().splitlines()[-1]
    assert last.endswith("|$(touch /tmp/x)|`id`??filter-result|1|2?")


@pytest.mark.parametrize("phase", ["connect", "ehlo", "starttls", "auth", "data", "commit", "rset", "noop", "quit"])
async def test_every_phase_is_asked_by_its_name(phase: Phase, tmp_path: Path) -> None:
    log = tmp_path / "log"
    async with running(Bus(), Process(command=probe("proceed", f"filter:smtp-in:{phase}", log))) as found:
        await found.decide(phase, facts(), "x")
    assert log.read_text().splitlines()[-1].split("|")[4] == phase


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_pod_that_was_made_without_its_container_refuses_the_configuration(tmp_path: Path) -> None:
    # It goes on with the one before, and its successor has the container.
    settings = Process(socket=str(tmp_path / "mail.spam" / "socket"))
    with pytest.raises(ValueError, match="older than the filter"):
        build_process("mail/spam", settings, MX, tools(Bus()))
    (tmp_path / "mail.spam").mkdir()
    build_process("mail/spam", settings, MX, tools(Bus()))
