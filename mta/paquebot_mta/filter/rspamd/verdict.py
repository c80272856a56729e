"""From rspamd's answer to a decision and changes of the message."""

import re
from email.header import Header
from typing import Final

from paquebot_mta.filter.contract import Changes, Facts, FieldEdit
from paquebot_mta.filter.decisions import JUNK, PROCEED, Decision, Reject
from paquebot_mta.filter.fields import encode_field
from paquebot_mta.filter.rspamd.answer import Answer
from paquebot_mta.mail.reply import Reply

GREYLISTED: Final = Reply(421, "Try again later", "4.7.1")
SOFT_REJECTED: Final = Reply(451, "Try again later", "4.7.1")
REJECTED: Final = Reply(550, "message rejected", "5.7.1")
_OWN_FIELDS: Final = ("X-Spam", "X-Spam-Action", "X-Spam-Score", "X-Spam-Symbols")
_STATUS: Final = re.compile(r"([45]\.\d{1,3}\.\d{1,3}) +(?=\S)")
_CODE: Final = re.compile(r"[45]\d\d[ -]")
_FOLD_AFTER: Final = 70
_MARKING: Final = frozenset({"add header", "rewrite subject", "quarantine"})
_REFUSING: Final = {"greylist": GREYLISTED, "soft reject": SOFT_REJECTED, "reject": REJECTED}


def decision_of(answer: Answer, *, reject: bool) -> Decision:
    """Say what its action means; a refusal takes its words, if it has some.

    Args:
        reject: whether its ``reject`` refuses; otherwise it is junk.
    """
    if answer.action in _MARKING or (answer.action == "reject" and not reject):
        return JUNK
    reply = _REFUSING.get(answer.action)
    return PROCEED if reply is None else Reject(_worded(reply, answer.message))


def changes_of(answer: Answer, facts: Facts, *, headers: bool) -> Changes:
    """Say what becomes of the message; ``discard`` leaves it without a recipient.

    Args:
        headers: whether our own X-Spam fields are added; those that came with the message are then removed.
    """
    edits = [FieldEdit(name, occurrence) for name, occurrence in answer.removed]
    edits += [FieldEdit(name) for name in _OWN_FIELDS] if headers else []
    if answer.subject and answer.action == "rewrite subject":
        edits.append(FieldEdit("Subject", 1, _encoded(answer.subject)))
    added = [*_report(answer), *answer.added] if headers else answer.added
    gone = tuple(facts.recipients) if answer.action == "discard" else answer.remove_recipients
    return Changes(
        prepend=tuple(encode_field(name, value) for name, value in added),
        edits=tuple(edits),
        reverse_path=answer.reverse_path,
        add_recipients=() if answer.action == "discard" else answer.add_recipients,
        remove_recipients=gone,
    )


def _worded(reply: Reply, text: str) -> Reply:
    """Put rspamd's words in; a code or status that begins them is not said twice."""
    words = _CODE.sub("", text, count=1) if _CODE.match(text) else text
    found = _STATUS.match(words)
    status = found[1] if found and found[1][0] == str(reply.code)[0] else reply.status
    words = words[found.end() :] if found else words
    return Reply(reply.code, words or reply.text, status)


def _report(answer: Answer) -> list[tuple[str, str]]:
    """Give our fields; the chain adds ``X-Spam: yes`` to junk."""
    return [
        ("X-Spam-Action", answer.action),
        ("X-Spam-Score", f"{answer.score:.2f} / {answer.required:.2f}"),
        *([("X-Spam-Symbols", _symbols(answer))] if answer.symbols else []),
    ]


def _symbols(answer: Answer) -> str:
    lines, line = [], ""
    for symbol in answer.symbols:
        item = f"{symbol.name}({symbol.score:.2f})"
        if line and len(line) + len(item) > _FOLD_AFTER:
            lines.append(line)
            line = ""
        line += f"{',' if line else ''}{item}"
    return ",\n\t".join([*lines, line])


def _encoded(subject: str) -> str:
    """Spell a subject in ASCII (RFC 2047), the words of a long one on lines of their own."""
    return subject if subject.isascii() else Header(subject, "utf-8").encode(maxlinelen=75, linesep="\n")
