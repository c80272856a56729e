"""What was recorded can be read back, and told to a filter that was not there."""

from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from paquebot_mta.filter.process.lines import report_line
from paquebot_mta.filter.reports.recorded import read_line
from paquebot_mta.filter.reports.replay import Tally, recorded_lines
from paquebot_mta.service.log_command import command
from paquebot_mta.telemetry.events import (
    FilterResponse,
    LinkAuth,
    LinkConnect,
    LinkDisconnect,
    LinkTls,
    ProtocolClient,
    Report,
    TxCommit,
    TxMail,
)
from tests.mta.filter.process.stage import M, S, probe

EVENTS: tuple[Report, ...] = (
    LinkConnect(
        direction="in", session=S, endpoint="mx", rdns="a.test", fcrdns="pass", source="x:1", destination="y:2"
    ),
    LinkTls(direction="in", session=S, endpoint="mx", version="TLSv1.3", cipher="C", bits=256),
    LinkAuth(direction="in", session=S, endpoint="mx", result="pass", username="joe|x"),
    TxMail(direction="in", session=S, endpoint="mx", msgid=M, result="ok", address=""),
    ProtocolClient(direction="in", session=S, endpoint="mx", command="NOOP a|b"),
    FilterResponse(direction="in", session=S, endpoint="mx", phase="rcpt-to", response="reject", parameter="550 a|b"),
    FilterResponse(direction="in", session=S, endpoint="mx", phase="rcpt-to", response="proceed"),
    TxCommit(direction="out", session=S, endpoint="mx", msgid=M, size=42),
    LinkDisconnect(direction="in", session=S, endpoint="mx"),
)


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.name)
def test_an_event_is_read_as_it_was_written(event: Report) -> None:
    line = report_line(event, 1.5).rstrip(b"\n")
    found = read_line(b"7|" + line, "mx")
    assert (found.sequence, found.at, found.event, found.line) == (7, 1.5, event, line)
    assert read_line(line, "mx").sequence == 0


@given(st.binary(max_size=100))
def test_any_line_is_an_event_or_refused(line: bytes) -> None:
    for raw in (line, b"1|report|0.7|1.000000|smtp-in|tx-commit|7641df9771b4ed00|" + line):
        try:
            read_line(raw, "mx")
        except ValueError:
            continue


def _record(path: Path) -> Path:
    lines = [b"%d|%b" % (number, report_line(event, 1.5)) for number, event in enumerate(EVENTS, 1) if number != 4]
    path.write_bytes(b"".join([*lines, b"garbage\n"]))
    return path


def test_a_record_is_told_to_a_filter_with_what_it_wants(tmp_path: Path) -> None:
    log = tmp_path / "log"
    to = " ".join(probe("proceed", "report:smtp-in:link-connect,report:smtp-in:protocol-client,report:smtp-out:*", log))
    done = CliRunner().invoke(command, ["replay", str(_record(tmp_path / "record")), "--to", to])
    assert done.exit_code == 0, done.output
    assert "3 reports told, 1 missing, 1 unreadable" in done.output
    told = [line for line in log.read_text().splitlines() if line.startswith("report")]
    assert [line.split("|")[4] for line in told] == ["link-connect", "protocol-client", "tx-commit"]


@pytest.mark.parametrize(
    ("numbers", "missing"),
    [
        ((1, 2, 3), 0),
        ((401, 402, 403), 0),
        ((401, 402, 405), 2),
        ((401, 402, 1, 2, 4), 1),
        ((0, 0, 0), 0),
        ((401, 0, 0, 402, 404), 1),
    ],
    ids=str,
)
def test_lines_are_missing_between_those_of_a_record_and_not_before_it(numbers: tuple[int, ...], missing: int) -> None:
    line = report_line(EVENTS[-1], 1.5)
    tally = Tally()
    found = list(recorded_lines([b"%d|%b" % (each, line) if each else line for each in numbers], tally))
    assert [each.sequence for each in found] == list(numbers)
    assert (tally.missing, tally.unreadable) == (missing, 0)


@pytest.mark.parametrize(
    ("program", "said"), [("/nonexistent", "can't be run"), ("/bin/true", "Error: it"), ("'", "--to")]
)
def test_a_program_that_is_no_filter_is_named(program: str, said: str, tmp_path: Path) -> None:
    done = CliRunner().invoke(command, ["replay", str(_record(tmp_path / "record")), "--to", program])
    assert done.exit_code != 0
    assert said in done.output
