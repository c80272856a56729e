"""Conditions of a built-in filter: what is looked at in a session or transaction."""

from typing import Annotated

from msgspec import Meta, field

from paquebot_operator.api.matches import Authenticated, Flag, Pattern
from paquebot_operator.api.validation import ApiValue, Rule

_NAMES = ("fcrdns", "hasRdns", "rdns", "src", "helo", "auth", "mailFrom", "rcptTo")
_ATTRIBUTES = ("fcrdns", "has_rdns", "rdns", "src", "helo", "auth", "mail_from", "rcpt_to")


class Criteria(ApiValue, frozen=True, kw_only=True):
    """What is looked at: all that are given must hold."""

    validations = (
        Rule(
            cel=" || ".join(f"has(self.{name})" for name in _NAMES),
            message=f"set at least one of {', '.join(_NAMES)}",
            holds=lambda criteria: any(getattr(criteria, name) is not None for name in _ATTRIBUTES),
        ),
    )

    fcrdns: Annotated[Flag | None, Meta(description="The client's reverse name leads back to its address.")] = None
    has_rdns: Annotated[Flag | None, Meta(description="The client has a reverse name.")] = None
    rdns: Annotated[Pattern | None, Meta(description="The client's reverse name, true or not (see fcrdns).")] = None
    src: Annotated[Pattern | None, Meta(description="The client's address, in these networks.")] = None
    helo: Annotated[Pattern | None, Meta(description="Name given in HELO or EHLO; from phase Helo on.")] = None
    auth: Annotated[Authenticated | None, Meta(description="The session is authenticated; from MailFrom on.")] = None
    mail_from: Annotated[Pattern | None, Meta(description="Sender: user, @domain or user@domain; MailFrom on.")] = None
    rcpt_to: Annotated[Pattern | None, Meta(description="Recipient, likewise; in phase RcptTo.")] = None


class When(ApiValue, frozen=True, kw_only=True):
    """Conditions joined; without any, always."""

    all: Annotated[tuple[Criteria, ...], Meta(max_length=16, description="Every entry holds.")] = ()
    any: Annotated[tuple[Criteria, ...], Meta(max_length=16, description="At least one entry holds.")] = ()
    not_: Annotated[tuple[Criteria, ...], Meta(max_length=16, description="No entry holds.")] = field(
        default=(), name="not"
    )

    def entries(self) -> tuple[Criteria, ...]:
        """All criteria, wherever they stand."""
        return (*self.all, *self.any, *self.not_)
