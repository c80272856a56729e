from __future__ import annotations

import pytest

from bench.profiler import thread_names
from bench.stages import LOOP, ThreadCpu, divide, function_of, module_of, parse_folded, pool_name, stage_of

START = "_run (paquebot_mta/service/command.py:75);run (uvloop/__init__.py:92);Runner.run (asyncio/runners.py:118)"
MAIN = f"thread (7): MainThread;{START}"
FLUSH = (
    f"{MAIN};SessionCore._serve (paquebot_mta/accept/core.py:1);SessionCore.flush (paquebot_mta/accept/core.py:9) 30"
)
PARSE = f"{MAIN};f (paquebot_mta/accept/core.py:1);parse (paquebot_mta/mail/commands.py:2);Pattern.x (re/x.py:3) 20"
LOG = f"{MAIN};f (paquebot_mta/accept/core.py:1);render (paquebot_mta/telemetry/render.py:2) 10"
COUNT = f"{MAIN};Series.add (paquebot_mta/telemetry/store.py:2) 20"
IDLE = f"{MAIN} 20"
COMMIT = "thread (0x7F): spool-committer;Committer._run (paquebot_mta/spool/committer.py:1) 900"
FOLDED = "\n".join((FLUSH, PARSE, LOG, COUNT, IDLE, COMMIT, "no stack at all", ""))


def test_work_is_charged_to_our_innermost_code_with_the_libraries_it_calls() -> None:
    assert [stage_of(stack) for stack in parse_folded(FOLDED)] == [
        "accept: send() to the peer",
        "mail",
        "telemetry: log lines",
        "telemetry: events and metrics",
        LOOP,
        "spool",
    ]


def test_modules_and_functions_are_named_without_our_package() -> None:
    stack = parse_folded(PARSE)[0]
    assert module_of(stack) == "mail/commands.py"
    assert function_of(stack) == "mail/commands.py parse"


def test_threads_of_a_pool_have_one_name() -> None:
    assert pool_name("spool-read_12") == "spool-read"
    assert pool_name("MainThread") == "MainThread"


def test_threads_are_named_by_their_number() -> None:
    folded = "thread (7): MainThread;x 1\nthread (8): log;y 2\nthread (9);x 3\n"
    assert thread_names(folded) == {7: "MainThread", 8: "log"}


def test_shares_add_up_and_only_the_main_thread_is_divided_by_samples() -> None:
    threads = {
        "MainThread": ThreadCpu(user_ticks=60, system_ticks=20),
        "spool-committer": ThreadCpu(user_ticks=5, system_ticks=15),
    }
    slices = {each.name: each for each in divide(parse_folded(FOLDED), threads, 1_000.0)}
    assert slices["thread spool-committer"].share == pytest.approx(0.2)
    assert slices["accept: send() to the peer"].share == pytest.approx(0.8 * 0.3)
    assert slices["accept: send() to the peer"].microseconds_per_message == pytest.approx(240.0)
    assert sum(each.share for each in slices.values()) == pytest.approx(1.0)


def test_an_empty_profile_is_refused() -> None:
    with pytest.raises(ValueError, match="empty"):
        divide([], {"MainThread": ThreadCpu(user_ticks=1, system_ticks=1)}, 1.0)
    with pytest.raises(ValueError, match="empty"):
        divide(parse_folded(FOLDED), {}, 1.0)
