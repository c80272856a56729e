"""Built-in filters: where, when, and what is done."""

from typing import Annotated, Literal

from msgspec import Meta

from paquebot_operator.api.common import Line, Text
from paquebot_operator.api.conditions import When
from paquebot_operator.api.matches import Reject
from paquebot_operator.api.validation import ApiValue, Rule, exactly_one

Phase = Literal["Connect", "Helo", "Ehlo", "StartTLS", "Auth", "MailFrom", "RcptTo", "Data", "Commit"]
_BEFORE_HELO = frozenset({"Connect"})
_BEFORE_MAIL = frozenset({"Connect", "Helo", "Ehlo", "StartTLS", "Auth"})
_REWRITABLE = frozenset({"Helo", "Ehlo", "MailFrom", "RcptTo"})


class Nothing(ApiValue, frozen=True, kw_only=True):
    """An action that has nothing to say."""


class Rewrite(ApiValue, frozen=True, kw_only=True):
    """Another parameter instead of the client's."""

    value: Annotated[Text, Meta(description="Name, sender or recipient, by phase.")]


class Note(ApiValue, frozen=True, kw_only=True):
    """An event for those who listen; mail goes on."""

    text: Annotated[Line, Meta(description="Text of the event.")]


class FilterAction(ApiValue, frozen=True, kw_only=True):
    """What is done: exactly one."""

    validations = (exactly_one("proceed", "junk", "rewrite", "reject", "disconnect", "bypass", "report"),)

    proceed: Annotated[Nothing | None, Meta(description="Go on with the next filter.")] = None
    junk: Annotated[
        Nothing | None,
        Meta(description="Mark as spam: before RcptTo all messages of the session, from there on this one."),
    ] = None
    rewrite: Annotated[Rewrite | None, Meta(description="Replace the phase's parameter.")] = None
    reject: Annotated[Reject | None, Meta(description="Refuse.")] = None
    disconnect: Annotated[Reject | None, Meta(description="Refuse, and close the connection.")] = None
    bypass: Annotated[Nothing | None, Meta(description="Skip the other filters in this phase.")] = None
    report: Annotated[Note | None, Meta(description="Report, and go on.")] = None


def _entries(wanted: str, message: str, phases: frozenset[str], *, outside: bool = False) -> Rule:
    """No entry has ``wanted`` in (or outside) these phases."""
    names = ", ".join(f"'{phase}'" for phase in sorted(phases))
    attributes = {"helo": "helo", "auth": "auth", "mailFrom": "mail_from", "rcptTo": "rcpt_to"}
    lists = " && ".join(f"!self.when.{place}.exists(one, has(one.{wanted}))" for place in ("all", "any", "not"))
    inside = f"self.phase in [{names}]"
    return Rule(
        cel=f"{inside if outside else '!(' + inside + ')'} || ({lists})",
        message=message,
        holds=lambda builtin: (
            (builtin.phase in phases) == outside
            or all(getattr(one, attributes[wanted]) is None for one in builtin.when.entries())
        ),
    )


class Builtin(ApiValue, frozen=True, kw_only=True):
    """A condition and an action in one phase."""

    validations = (
        _entries("helo", "helo is known from phase Helo on", _BEFORE_HELO),
        _entries("auth", "auth is known from phase MailFrom on", _BEFORE_MAIL),
        _entries("mailFrom", "mailFrom is known from phase MailFrom on", _BEFORE_MAIL),
        _entries("rcptTo", "rcptTo is known in phase RcptTo", frozenset({"RcptTo"}), outside=True),
        Rule(
            cel="self.phase != 'Commit' || (!has(self.action.junk) && !has(self.action.bypass))",
            message="junk and bypass come too late in phase Commit",
            holds=lambda builtin: builtin.phase != "Commit" or (builtin.action.junk or builtin.action.bypass) is None,
        ),
        Rule(
            cel="!has(self.action.rewrite) || self.phase in ['Ehlo', 'Helo', 'MailFrom', 'RcptTo']",
            message="rewrite needs a phase with a parameter: Helo, Ehlo, MailFrom, RcptTo",
            holds=lambda builtin: builtin.action.rewrite is None or builtin.phase in _REWRITABLE,
        ),
    )

    phase: Annotated[Phase, Meta(description="Step of the session at which it is asked.")]
    when: Annotated[When, Meta(description="Conditions; always if left out.")] = When()
    action: Annotated[FilterAction, Meta(description="What is done if they hold.")]
