"""Address lists in header fields as bytes (RFC 5322, 3.4): where mailboxes lie, so that something can be put there.

What is not understood stays as it came; quoted strings, comments and folding are never touched. Time is linear in the
bytes, whatever they are.
"""

import re
from typing import Final

_TOKEN: Final = re.compile(
    rb'"(?:[^"\\]|\\.)*+"'  # quoted string
    rb"|\((?:[^()\\]|\\.)*+\)"  # comment; one in another ends with the outer field left alone
    rb"|<[^<>]*+>"  # address in brackets
    rb"|[,:;]"
    rb'|[^\s"(),:;<>]++'
    rb"|\s++"
    rb"|(.++)",  # what is never closed runs to the end: another try behind each quote of it would be quadratic work
    re.DOTALL,
)
_UNQUALIFIED: Final = re.compile(rb'(?:[!#-\'*+/-9=?A-Z^-~-]+(?:\.[!#-\'*+/-9=?A-Z^-~-]+)*|"(?:[^"\\\r\n]|\\[ -~])*")')


def complete_mailboxes(value: bytes, domain: bytes) -> bytes:
    """Put ``@domain`` behind each address that has none; a list that can't be read stays."""
    tokens = _tokens(value)
    if tokens is None:
        return value
    done: list[bytes] = []
    mailbox: list[bytes] = []
    for token in tokens:
        if token in (b",", b";"):
            done += [*_complete(mailbox, domain), token]
            mailbox = []
        elif token == b":":  # what was collected is the name of a group
            done += [*mailbox, token]
            mailbox = []
        else:
            mailbox.append(token)
    return b"".join((*done, *_complete(mailbox, domain)))


def replace_mailbox(value: bytes, address: bytes) -> bytes:
    """Give the first mailbox's display name with another address: what a masqueraded From becomes."""
    name: list[bytes] = []
    for token in _tokens(value) or ():
        if token[:1] == b"<":
            return b"".join(name).rstrip() + b" <" + address + b">"
        if token in (b",", b":", b";"):
            break
        name.append(token)
    return b" " + address


def _tokens(value: bytes) -> list[bytes] | None:
    tokens = []
    for found in _TOKEN.finditer(value):
        if found.lastindex is not None:
            return None
        tokens.append(found[0])
    return tokens


def _complete(mailbox: list[bytes], domain: bytes) -> list[bytes]:
    words = [place for place, token in enumerate(mailbox) if not token.isspace() and token[:1] != b"("]
    brackets = [place for place in words if mailbox[place][:1] == b"<"]
    completed = list(mailbox)
    if len(brackets) == 1:
        inner = mailbox[brackets[0]][1:-1]
        if _UNQUALIFIED.fullmatch(inner):
            completed[brackets[0]] = b"<" + inner + b"@" + domain + b">"
    elif len(words) == 1 and _UNQUALIFIED.fullmatch(mailbox[words[0]]):
        completed[words[0]] += b"@" + domain
    return completed
