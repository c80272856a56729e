"""Where Paquebot tells a filter something else than OpenSMTPD does, and why."""

import re
from collections.abc import Callable, Mapping
from typing import Final

from .dialogs import OVER_TLS
from .streams import Told

Mend = Callable[[Told, Told], None]
"""Changes what OpenSMTPD told into what Paquebot is to tell; or takes from both what isn't to be compared."""


def _rollback_before_its_reply(them: Told, us: Told) -> None:
    """RSET is reported when it is done, and its reply after it, as it is sent: OpenSMTPD writes the reply first."""
    at = them.reports.index("filter-response|rset|proceed") + 1
    reply = them.reports.pop(at)
    them.reports.insert(at + 2, reply)


def _new_address(them: Told, us: Told) -> None:
    """After a rewrite the recipient is the new one; that OpenSMTPD reports the old one is its bug 1259."""
    rewrite = "filter-response|rcpt-to|rewrite|"
    at = next(place for place, line in enumerate(them.reports) if line.startswith(rewrite))
    told = next(place for place in range(at, len(them.reports)) if them.reports[place].startswith("tx-rcpt|"))
    them.reports[told] = f"tx-rcpt|MSGID|ok|{them.reports[at].removeprefix(rewrite).strip('<>')}"


def _one_verdict_on_data(them: Told, us: Told) -> None:
    """The command DATA was accepted, and tx-data said so: it isn't said again, otherwise, when content is refused."""
    them.reports.remove("tx-data|MSGID|permfail")


def _syntax_is_501(them: Told, us: Told) -> None:
    """An argument that is no path is a syntax error, 501 (RFC 5321, 4.2.2); OpenSMTPD says 553."""
    at = them.reports.index("protocol-server|553")
    them.reports[at] = "protocol-server|501"


def _unfinished_content(them: Told, us: Told) -> None:
    """How much of an unfinished message is told before its end is noticed, nobody promises."""
    them.content.clear()
    us.content.clear()


def _result_before_user(them: Told, us: Told) -> None:
    """Protocol 0.7 gives link-auth's result first; Debian's OpenSMTPD speaks 0.6."""
    them.reports = [re.sub(r"^link-auth\|(.*)\|(pass|fail|error)$", r"link-auth|\2|\1", line) for line in them.reports]


def _masked(them: Told, us: Told) -> None:
    """Of AUTH a filter is given the mechanism alone, unless it may see credentials; OpenSMTPD gives it all."""
    them.questions = [re.sub(r"^(auth\|\S+) .*", r"\1", line) for line in them.questions]


def _unknown_mechanism(them: Told, us: Told) -> None:
    """What isn't offered is refused before anybody is asked: nobody can tell what of its argument is a secret."""
    them.questions.remove("auth|GSSAPI")
    them.reports.remove("filter-response|auth|proceed")


def _completed(them: Told, us: Told) -> None:
    """What a user's message lacks is added before filters have it: whoever signs it signs that, too."""
    assert [line.partition(":")[0] for line in us.content[:2]] == ["Date", "Message-ID"]
    del us.content[:2]


def _junk_is_small(them: Told, us: Told) -> None:
    """Its author's announcement spells the mark of junk `yes`; OpenSMTPD writes `Yes`."""
    them.content = ["X-Spam: yes" if line == "X-Spam: Yes" else line for line in them.content]


def _loopback_has_a_name(them: Told, us: Told) -> None:
    """All of 127.0.0.0/8 is this machine."""
    them.reports = [line.replace("link-connect|<unknown>|fail|127.", "link-connect|localhost|pass|127.")
                    for line in them.reports]  # fmt: skip


DIFFERENCES: Final[Mapping[str, Mend]] = {
    "refused recipient, then reset": _rollback_before_its_reply,
    "rewritten recipient": _new_address,
    "a rewritten recipient": _new_address,
    "a message is refused at its end": _one_verdict_on_data,
    "refused content": _one_verdict_on_data,
    "errors": _syntax_is_501,
    "gone within content": _unfinished_content,
    "a user's message": _completed,
    "a wrong password, then the right one": _completed,
    "AUTH with an unknown mechanism": _unknown_mechanism,
}
"""By the name of the dialog, which is the same over TLS."""


def mend(name: str, them: Told, us: Told) -> None:
    """Apply what differs in all dialogs, and the known difference of this one, if it has one."""
    _masked(them, us)
    _result_before_user(them, us)
    _junk_is_small(them, us)
    _loopback_has_a_name(them, us)
    if (found := DIFFERENCES.get(name.removesuffix(OVER_TLS))) is not None:
        found(them, us)
