"""What programs that filter say, what they are told of what clients say, and recorded reports."""

from typing import Final

from paquebot_mta.filter.decisions import Disconnect, Reject
from paquebot_mta.filter.process.answers import ContentLine, ProtocolFault, Remark, Result, decision_of, parse_answer
from paquebot_mta.filter.process.buffer import LfBuffer
from paquebot_mta.filter.process.lines import Version, content_lines, question_head, question_line, report_line
from paquebot_mta.filter.process.registration import Registering
from paquebot_mta.filter.reports.recorded import read_line
from paquebot_mta.mail.ids import SessionId
from paquebot_mta.telemetry.events import FilterReport, LinkAuth, ProtocolClient, Report
from tests.fuzz.material import Material

_VERSIONS: Final[tuple[Version, ...]] = ("0.4", "0.5", "0.6", "0.7")
_PHASES: Final = ("connect", "mail-from", "commit")
_SESSION: Final = SessionId("7641df9771b4ed00")
_LIMIT_BYTES: Final = 512


def fuzz_filter_answer(data: bytes) -> None:
    """A filter's bytes are lines that are answers, or a fault; a refusal is one that a client can be told."""
    source = Material(data)
    version, phase = _VERSIONS[source.byte() % 4], _PHASES[source.byte() % 3]
    buffer, registering = LfBuffer(_LIMIT_BYTES), Registering()
    try:
        for line in buffer.feed(source.rest()):
            assert b"\n" not in line
            if registering.take(line) is not None:
                break
    except ProtocolFault as fault:
        _check_text(str(fault))
    _check_answers(data, version, phase)


def _check_answers(data: bytes, version: Version, phase: str) -> None:
    for line in data.split(b"\n"):
        try:
            answer = parse_answer(line, version)
        except ProtocolFault as fault:
            _check_text(str(fault))
            continue
        if isinstance(answer, Remark):
            _check_text(answer.text)
        elif isinstance(answer, Result):
            _check_result(answer, phase)
        else:
            assert isinstance(answer, ContentLine)
            assert len(answer.session) == 16


def _check_result(answer: Result, phase: str) -> None:
    assert len(answer.session) == 16
    try:
        decision = decision_of(answer, phase)  # type: ignore[arg-type]
    except ProtocolFault:
        assert phase == "commit"
        return
    if isinstance(decision, Reject | Disconnect):
        assert 400 <= decision.reply.code <= 599
        assert not decision.reply.status or decision.reply.status[0] == str(decision.reply.code)[0]
        assert decision.reply.encode().count(b"\n") == 1
        assert isinstance(decision, Disconnect) or decision.reply.code != 421


def fuzz_filter_told(data: bytes) -> None:
    """Whatever a client says, a filter is told lines of the protocol, and no field takes another's place."""
    source = Material(data)
    version = _VERSIONS[source.byte() % 4]
    first, _, second = source.rest().decode("utf-8", "surrogateescape").partition("\0")
    said = FilterReport(direction="in", session=_SESSION, endpoint="mx", kind="proc", filter=first, message=second)
    named = LinkAuth(direction="in", session=_SESSION, endpoint="mx", result="pass", username=first)
    commanded = ProtocolClient(direction="in", session=_SESSION, endpoint="mx", command=first)
    for event, bars in ((said, 8), (named, 7), (commanded, 6)):
        line = report_line(event, 1.5, version)
        _check_line(line)
        assert line.count(b"|") >= bars
    fields = report_line(said, 1.5, version).split(b"|", 8)
    assert fields[6] == b"proc"
    _check_line(question_line("helo", _SESSION, 1, first, 1.5, version))
    _check_content(data, version)
    _check_read_back(said)


def _check_content(data: bytes, version: Version) -> None:
    content = b"".join(line.replace(b"\r", b"") + b"\r\n" for line in data.split(b"\n"))
    head = question_head("data-line", _SESSION, 1, 1.5, version)
    lines = content_lines(head, content).split(b"\n")
    assert lines.pop() == b""
    assert b"".join(line.removeprefix(head).removeprefix(b".") + b"\r\n" for line in lines) == content
    assert head + b"." not in lines


def _check_read_back(event: Report) -> None:
    line = report_line(event, 1.5).rstrip(b"\n")
    if len(line) < 1_000:
        assert read_line(line, "mx").event.fields()[0] == "proc"


def fuzz_report_record(data: bytes) -> None:
    """A line of a record is refused, or an event that is spelled again as it stood there."""
    for raw in (data, b"1|report|0.7|1.000000|smtp-in|" + data):
        try:
            found = read_line(raw, "mx")
        except ValueError:
            continue
        again = report_line(found.event, found.at).rstrip(b"\n")
        assert (
            read_line(again, "mx").event.fields() == read_line(report_line(found.event, 2.0)[:-1], "mx").event.fields()
        )
        _check_line(again + b"\n")


def _check_line(line: bytes) -> None:
    assert line.endswith(b"\n")
    assert not [byte for byte in line[:-1] if byte < 32 or byte == 127]
    line.decode("utf-8")


def _check_text(text: str) -> None:
    assert not [char for char in text if ord(char) < 32 or 127 <= ord(char) < 160]
