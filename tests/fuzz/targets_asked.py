"""What is said by those whom filters ask: SPF policies in DNS, milters, rspamd."""

import asyncio
from typing import Final

from paquebot_mta.filter.contract import Changes, Facts
from paquebot_mta.filter.fields import edit_header
from paquebot_mta.filter.milter.replies import FINAL, REFUSALS, Modifications, refusal
from paquebot_mta.filter.milter.wire import PACKET_BYTES, MilterError, PacketReader
from paquebot_mta.filter.rspamd.answer import AnswerError, parse_answer
from paquebot_mta.filter.rspamd.verdict import changes_of, decision_of
from paquebot_mta.mail.header import find_body, scan_fields
from paquebot_mta.mail.ids import SessionId
from paquebot_mta.mailauth.spf import check_spf
from paquebot_mta.resolver.memory import MemoryResolver
from tests.fuzz.material import Material, cut, has_bare_line_end, with_runs

MOST_QUESTIONS: Final = 250
"""Ten terms, ten names each, twice, and the policies."""
_HEADER: Final = b"Subject: one\r\nReceived: a\r\n b\r\nReceived: c\r\n\r\n"
_FACTS: Final = Facts(
    session=SessionId("00000000000000a1"), endpoint="mx", client_address="192.0.2.1", recipients=["bob@example.test"]
)


def fuzz_spf(data: bytes) -> None:
    """Policies cost no more than is allowed, and end in a result; explanations are printable."""
    names = ("a.test", "b.test", "c.a.test")
    texts = [text.decode("latin-1") for text in data.split(b"\n", 2)]
    policies = dict(zip(names, texts, strict=False))
    zones = {name: {"TXT": [text], "A": ["192.0.2.7"], "MX": [f"1 {name}"]} for name, text in policies.items()}
    dns = MemoryResolver({**zones, "1.2.0.192.in-addr.arpa": {"PTR": list(names)}})
    found = asyncio.run(check_spf(dns, client_address="192.0.2.1", reverse_path="joe@a.test", helo="h.test"))
    assert len(dns.asked) <= MOST_QUESTIONS
    assert found.explanation.isascii()
    assert found.explanation.isprintable()


def fuzz_milter(data: bytes) -> None:
    """Answers refuse, change, or are garbage; what is changed stays a message."""
    source = Material(data)
    reader, changes = PacketReader(), Modifications(1_000)
    sizes = source.sizes()
    try:
        for chunk in cut(with_runs(source.rest()), sizes):
            reader.feed(chunk)
            while (found := reader.next_packet()) is not None:
                _take(changes, *found)
    except MilterError:
        return
    assert len(reader) <= PACKET_BYTES + 4
    _check(Changes(prepend=changes.prepend, edits=tuple(changes.edits)))


def _take(changes: Modifications, letter: bytes, data: bytes) -> None:
    if letter in REFUSALS:
        reply = refusal(letter, data).reply  # type: ignore[union-attr]
        assert 400 <= reply.code <= 599
        assert reply.encode().count(b"\r\n") == reply.text.count("\n") + 1
    elif letter not in FINAL:
        changes.take(letter, data)


def fuzz_rspamd(data: bytes) -> None:
    """An answer is garbage, or leads to a decision and to changes that leave a message."""
    try:
        answer = parse_answer(data)
    except AnswerError:
        return
    decision_of(answer, reject=True)
    changes = changes_of(answer, _FACTS, headers=True)
    assert "\n" not in f"{changes.reverse_path}{changes.add_recipients}"
    _check(changes)


def _check(changes: Changes) -> None:
    """Each field that is put in front is one; the header ends where it ended."""
    for field in changes.prepend:
        assert len(list(scan_fields(field, len(field)))) == 1
    header = b"".join(changes.prepend) + edit_header(_HEADER, changes.edits)
    assert not has_bare_line_end(header)
    assert find_body(header, len(header)) == len(header)
