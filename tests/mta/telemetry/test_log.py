"""The log: closed names, one id for a message's story, OpenSMTPD's words, no personal data, never a blockade."""

import json
import logging
import os
import warnings
from typing import Any, get_args

import pytest

from paquebot_mta.config.service import Logging
from paquebot_mta.mail.outcome import Deferred, Delivered
from paquebot_mta.mail.reply import Reply
from paquebot_mta.telemetry.bridge import install_bridge
from paquebot_mta.telemetry.bus import Bus
from paquebot_mta.telemetry.events import ConfigEvent, Direction, Event, LinkAuth, LinkConnect, Notice, Transaction
from paquebot_mta.telemetry.log import Log, renderer
from paquebot_mta.telemetry.lognames import LOG_NAMES, Level
from paquebot_mta.telemetry.privacy import Mode, Privacy, privacy_of
from paquebot_mta.telemetry.render import Head, Timestamps, duration, render_text
from paquebot_mta.telemetry.sink import BufferedSink, MemorySink
from tests.mta.telemetry.samples import (
    CANARY,
    CANARY_IP,
    CANARY_IP6,
    CANARY_PASSWORD,
    EVPID,
    MSGID,
    REFUSED,
    SESSION,
    delivery,
    others,
    reports,
)

HEAD = ["ts", "level", "event", "component", "pod", "gen"]
KEY = b"key of the test"


def _lines(*events: Event, level: Level = "debug", mode: Mode = "Pseudonym") -> list[dict[str, Any]]:
    sink, bus = MemorySink(), Bus()
    log = Log(sink, level=level, privacy=Privacy(mode, KEY), pod="mta-0", wall_clock=lambda: 1_700_000_000.5)
    bus.subscribe(log)
    for event in events:
        bus.emit(event)
    assert bus.dropped == 0
    return [json.loads(line) for line in sink.lines]


@pytest.mark.parametrize("direction", get_args(Direction))
def test_each_report_event_has_its_line(direction: Direction) -> None:
    events = reports(direction)
    lines = _lines(*events)
    assert [line["event"] for line in lines] == [f"smtp-{direction}.{event.name}" for event in events]
    assert {line["session"] for line in lines} == {SESSION}
    for event, line in zip(events, lines, strict=True):
        assert ("msgid" in line) == isinstance(event, Transaction)


def test_every_line_has_the_same_head_and_a_name_of_the_catalogue() -> None:
    for line in _lines(*reports("in"), *reports("out"), *others()):
        assert list(line)[: len(HEAD)] == HEAD
        assert line["ts"] == "2023-11-14T22:13:20.500000Z"
        assert line["component"] == LOG_NAMES[line["event"]].component
        assert line["pod"] == "mta-0"


def test_by_default_a_session_tells_its_steps_and_what_was_refused() -> None:
    names = [line["event"].partition(".")[2] for line in _lines(*reports("in"), level="info")]
    steps = ["link-connect", "link-tls", "link-auth", "filter-response", "timeout"]
    assert names == [*steps, "tx-rcpt", "tx-data", "tx-commit", "tx-rollback", "link-disconnect"]


def test_every_line_of_a_message_has_its_id() -> None:
    for event in others():
        for line in _lines(event):
            if line["event"].startswith(("delivery.", "queue.")):
                assert line["msgid"] == MSGID


def test_a_delivery_is_told_in_opensmtpds_words() -> None:
    attempt = delivery(REFUSED, user="canary.bird", attempt=2, tls="TLSv1.3")
    (line,) = _lines(attempt, mode="Full")
    words = {key: line[key] for key in ("from", "to", "rcpt", "source", "relay", "delay_seconds", "result", "stat")}
    assert words == {
        "from": CANARY,
        "to": CANARY,
        "rcpt": "list@example.test",
        "source": "198.51.100.1",
        "relay": "203.0.113.5 (mx.example.org)",
        "delay_seconds": 125.0,
        "result": "PermFail",
        "stat": str(REFUSED.reply),
    }
    assert (line["event"], line["attempt"], line["code"], line["status"]) == ("delivery.permfail", 2, 550, "5.1.1")
    assert (line["evpid"], line["msgid"], line["session"], line["transport"]) == (EVPID, MSGID, SESSION, "relay")


def test_the_recipient_is_a_dash_when_nothing_changed_it() -> None:
    attempt = delivery(Deferred(Reply(451, "later")), recipient=CANARY, next_attempt_at=1_800_000_000.0)
    (line,) = _lines(attempt)
    assert (line["rcpt"], line["next_attempt"]) == ("-", "2027-01-15T08:00:00Z")
    (line,) = _lines(delivery(Deferred(Reply(451, "later")), final="expired"))
    assert (line["event"], line["result"]) == ("delivery.expired", "Expire")


@pytest.mark.parametrize("mode", ["Pseudonym", "Minimal"])
@pytest.mark.parametrize("form", ["json", "text"])
def test_no_canary_reaches_the_log(mode: Mode, form: str) -> None:
    sink = MemorySink()
    render = renderer("json" if form == "json" else "text")
    log = Log(sink, render=render, level="debug", privacy=Privacy(mode, KEY))
    for event in (*reports("in"), *others(), *reports("out")[1:]):
        log.consume(event)
    text = b"".join(sink.lines).decode()
    for canary in ("canary", CANARY_IP, "192-0-2-77", CANARY_IP6, CANARY_PASSWORD):
        assert canary not in text
    assert "192.0.2.0/24" in text
    assert "2001:db8:1::/48" in text


def test_one_person_has_one_token_whatever_the_spelling() -> None:
    privacy = Privacy("Pseudonym", KEY)
    token = privacy.address(CANARY)
    assert token == privacy.address(CANARY.upper()).replace("EXAMPLE.TEST", "example.test")
    assert token.startswith("h:")
    assert token.endswith("@example.test")
    assert privacy.scrub(f"550 <{CANARY}>: unknown") == f"550 <{token}>: unknown"
    assert token != Privacy("Pseudonym", b"other key").address(CANARY)
    assert privacy.address("") == ""
    assert privacy_of(Logging(pseudonym_key=KEY.decode()), b"random").address(CANARY) == token
    assert privacy_of(Logging(), b"random").address(CANARY) == Privacy("Pseudonym", b"random").address(CANARY)


@pytest.mark.parametrize(
    ("text", "scrubbed"),
    [
        ("mail from 192.0.2.77:4000 at 09:05:00", "mail from 192.0.2.0/24:4000 at 09:05:00"),
        ("[2001:db8:1:2::77] is listed", "[2001:db8:1::/48] is listed"),
        ("version 5.1.1 of 127.0.0.1", "version 5.1.1 of 127.0.0.1"),
        ("host 300.1.1.1", "host 300.1.1.1"),
        ("AUTH PLAIN c2VjcmV0", "AUTH PLAIN ********"),
        ("no such user bird", "no such user *"),
    ],
)
def test_free_text_is_scrubbed(text: str, scrubbed: str) -> None:
    assert Privacy("Minimal", KEY).scrub(text, ["bird@example.test"]) == scrubbed


def test_a_failed_auth_shows_the_clients_whole_address() -> None:
    base: dict[str, Any] = {"direction": "in", "session": SESSION, "endpoint": "submission"}
    connect = LinkConnect(**base, source=f"{CANARY_IP}:4000", destination="198.51.100.1:587")
    failed = LinkAuth(**base, result="fail", username=CANARY, mechanism="PLAIN")
    passed = LinkAuth(**base, result="pass", username=CANARY, mechanism="PLAIN")
    lines = _lines(connect, failed, passed)
    assert lines[0]["source"] == "192.0.2.0/24"
    assert (lines[1]["source"], lines[1]["retention"]) == (f"{CANARY_IP}:4000", "security")
    assert "source" not in lines[2]
    assert CANARY not in json.dumps(lines)


def test_control_characters_never_leave() -> None:
    notice = Notice(level="info", event="admin.command", details={"text": "a\r\n\x1b[2J\u2028\x9b\udcff", "event": "x"})
    sink = MemorySink()
    for render in (renderer("json"), renderer("text")):
        Log(sink, render=render, privacy=Privacy("Full")).consume(notice)
    for line in sink.lines:
        assert line.endswith(b"\n")
        assert line.decode().removesuffix("\n").isprintable()
    assert json.loads(sink.lines[0])["text"] == r"a\r\n\x1b[2J\u2028\x9b\udcff"


def test_an_unlisted_notice_is_told_under_a_listed_name() -> None:
    (line,) = _lines(Notice(level="error", event="no.such", details={"why": "x"}))
    assert (line["event"], line["name"], line["why"]) == ("log.unlisted", "no.such", "x")


def test_lines_carry_the_generation_in_force() -> None:
    lines = _lines(
        ConfigEvent(change="loaded", generation=4, digest="ab"),
        ConfigEvent(change="rejected", generation=5, digest="cd", reason="service.rules[0]: bad"),
    )
    assert [line["gen"] for line in lines] == [4, 4]
    assert lines[1]["level"] == "warning"


def test_the_readable_form_is_opensmtpds() -> None:
    head, ts = Head("info", "delivery.delivered", "sender", "mta-0", 1), "2023-11-14T22:13:20.500000Z"
    text = render_text(head, ts, {"to": "a@example.test", "delay_seconds": 125.0, "stat": '250 "ok"'}, colour=False)
    assert text == b'22:13:20.500 info    delivery.delivered to=a@example.test stat="250 \\"ok\\"" delay=2m5s\n'
    assert b"\x1b[32m" in render_text(head, ts, {}, colour=True)


def test_each_line_has_its_own_time_forwards_and_backwards() -> None:
    moments = [1_700_000_000.0, 1_700_000_000.0625, 1_700_000_000.984375, 1_700_000_001.25, 1_699_999_999.5, 0.5]
    timestamps = Timestamps(iter(moments).__next__)
    assert [timestamps.now() for _ in moments] == [
        "2023-11-14T22:13:20.000000Z",
        "2023-11-14T22:13:20.062500Z",
        "2023-11-14T22:13:20.984375Z",
        "2023-11-14T22:13:21.250000Z",
        "2023-11-14T22:13:19.500000Z",
        "1970-01-01T00:00:00.500000Z",
    ]


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0s"), (1, "1s"), (125, "2m5s"), (90_000, "1d1h")])
def test_durations_are_spelled_as_opensmtpd_does(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_settings_may_change_while_it_runs() -> None:
    sink = MemorySink()
    log = Log(sink, level="warning")
    log.consume(delivery(Delivered(Reply(250, "ok"))))
    log.configure("info", Privacy("Full"))
    log.consume(delivery(Delivered(Reply(250, "ok"))))
    assert [json.loads(line)["to"] for line in sink.lines] == [CANARY]
    assert {level for level, lines in log.lines.items() if lines} == {"info"}


def test_libraries_write_into_the_same_log() -> None:
    sink = MemorySink()
    undo = install_bridge(Log(sink, privacy=Privacy("Pseudonym", KEY)))
    try:
        logging.getLogger("asyncio").warning("slow callback of %s", CANARY)
        logging.getLogger("asyncio").info("too quiet")
        try:
            raise ValueError(CANARY)  # noqa: TRY301 - the trace is what is wanted
        except ValueError:
            logging.getLogger("mail.log").exception("session crashed")
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn("old", DeprecationWarning, stacklevel=1)
    finally:
        undo()
    lines = [json.loads(line) for line in sink.lines]
    assert [line["logger"] for line in lines] == ["asyncio", "mail.log", "py.warnings"]
    assert [line["level"] for line in lines] == ["warning", "error", "warning"]
    assert "ValueError" in lines[1]["exception"]
    assert "canary" not in json.dumps(lines)


def test_a_blocked_pipe_loses_lines_and_never_blocks() -> None:
    reader, writer = os.pipe()
    sink = BufferedSink(writer, capacity_bytes=100_000, flush_seconds=0.001)
    try:
        for _ in range(3_000):
            sink.write(b"x" * 99 + b"\n")
        assert sink.dropped > 0
        kept = 3_000 - sink.dropped
        got = 0
        while got < kept * 100:
            got += len(os.read(reader, 65_536))
        assert sink.flush()
        sink.close()
        assert got == kept * 100
    finally:
        os.close(reader)
        os.close(writer)


def test_lines_leave_in_order_and_all_of_them_at_the_end() -> None:
    reader, writer = os.pipe()
    sink = BufferedSink(writer, flush_seconds=5.0)
    for number in range(100):
        sink.write(b"%d\n" % number)
    sink.close()
    os.close(writer)
    with open(reader, "rb") as file:
        assert file.read().split() == [b"%d" % number for number in range(100)]


def test_a_closed_pipe_is_counted_not_raised() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    sink = BufferedSink(writer, flush_seconds=0.001)
    sink.write(b"lost\n")
    sink.flush()
    sink.close()
    os.close(writer)
    assert sink.dropped == 1
