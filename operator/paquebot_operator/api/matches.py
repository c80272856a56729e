"""Rules of a MailService: criteria and outcome; the first rule that matches decides."""

from typing import Annotated

from msgspec import Meta, field

from paquebot_operator.api.common import Label, LocalRef, Text
from paquebot_operator.api.validation import ApiValue, Rule, exactly_one


class Pattern(ApiValue, frozen=True, kw_only=True):
    """A set of texts, given here or in a Table."""

    validations = (
        Rule(
            cel="(self.values.size() > 0) != has(self.tableRef)",
            message="set exactly one of values, tableRef",
            holds=lambda pattern: bool(pattern.values) != (pattern.table_ref is not None),
        ),
        Rule(
            cel="!self.regex || !has(self.tableRef)",
            message="regex is about values; for a table set its matchMode",
            holds=lambda pattern: not pattern.regex or pattern.table_ref is None,
        ),
    )

    values: Annotated[tuple[Text, ...], Meta(max_length=256, description="Literal entries.")] = ()
    table_ref: Annotated[LocalRef | None, Meta(description="Table that holds the entries.")] = None
    regex: Annotated[bool, Meta(description="The values are regular expressions.")] = False
    negate: Annotated[bool, Meta(description="Match what is not in the set.")] = False


class Flag(ApiValue, frozen=True, kw_only=True):
    """A yes-or-no criterion."""

    negate: Annotated[bool, Meta(description="Match if it does not hold.")] = False


class Anywhere(ApiValue, frozen=True, kw_only=True):
    """No restriction."""


class Authenticated(ApiValue, frozen=True, kw_only=True):
    """The session is authenticated."""

    validations = (
        Rule(
            cel="!self.negate || !has(self.users)",
            message="negate is about being authenticated at all; to except users, negate in users",
            holds=lambda known: not known.negate or known.users is None,
        ),
    )

    users: Annotated[Pattern | None, Meta(description="Only these users.")] = None
    negate: Annotated[bool, Meta(description="Match if it is not.")] = False


class From(ApiValue, frozen=True, kw_only=True):
    """Where the session comes from."""

    validations = (exactly_one("any", "local", "authenticated", "networks", "rdns"),)

    any: Annotated[Anywhere | None, Meta(description="Anywhere.")] = None
    local: Annotated[Flag | None, Meta(description="Loopback, a unix socket, or mail made by the service.")] = None
    authenticated: Annotated[Authenticated | None, Meta(description="Authenticated sessions.")] = None
    networks: Annotated[Pattern | None, Meta(description="The client's address is in these networks.")] = None
    rdns: Annotated[
        Pattern | None,
        Meta(description="The client's verified reverse name; never holds, negated or not, if it leads elsewhere."),
    ] = None


class For(ApiValue, frozen=True, kw_only=True):
    """Where the recipient is."""

    validations = (exactly_one("any", "hosted", "local", "domains"),)

    any: Annotated[Anywhere | None, Meta(description="Anywhere.")] = None
    hosted: Annotated[Flag | None, Meta(description="A domain of a MailDomain of this service.")] = None
    local: Annotated[Flag | None, Meta(description="The service's own host name, or localhost.")] = None
    domains: Annotated[Pattern | None, Meta(description="The recipient's domain.")] = None


class Match(ApiValue, frozen=True, kw_only=True):
    """Criteria: all that are given must hold. There is no implicit default: from and for are required."""

    from_: Annotated[From, Meta(description="Where the session comes from.")] = field(name="from")
    for_: Annotated[For, Meta(description="Where the recipient is.")] = field(name="for")
    tag: Annotated[Pattern | None, Meta(description="Tag of the listener.")] = None
    helo: Annotated[Pattern | None, Meta(description="Name given in HELO or EHLO.")] = None
    auth: Annotated[Flag | None, Meta(description="The session is authenticated.")] = None
    auth_users: Annotated[Pattern | None, Meta(description="Authenticated user.")] = None
    tls: Annotated[Flag | None, Meta(description="The session is encrypted.")] = None
    mail_from: Annotated[Pattern | None, Meta(description="Sender: user, @domain or user@domain.")] = None
    rcpt_to: Annotated[Pattern | None, Meta(description="Recipient: user, @domain or user@domain.")] = None


class Reject(ApiValue, frozen=True, kw_only=True):
    """The answer of a rule that refuses."""

    validations = (
        Rule(
            cel="(self.code < 500) == self.status.startsWith('4')",
            message="code and status must be of one class: 4yz with 4.x.x, 5yz with 5.x.x",
            holds=lambda reject: (reject.code < 500) == reject.status.startswith("4"),
        ),
    )

    code: Annotated[int, Meta(ge=400, le=599, description="Reply code.")] = 550
    status: Annotated[
        str, Meta(max_length=9, pattern=r"^[45]\.[0-9]{1,3}\.[0-9]{1,3}$", description="Enhanced status code.")
    ] = "5.7.1"
    text: Annotated[
        str,
        Meta(max_length=1024, pattern=r"^[ -~]*$", description="Text of the reply, ASCII (RFC 5321, 4.2)."),
    ] = "Invalid recipient"


class Deliver(ApiValue, frozen=True, kw_only=True):
    """Deliver as the recipient's MailDomain says."""


class ServiceRule(ApiValue, frozen=True, kw_only=True):
    """Criteria and outcome."""

    validations = (
        exactly_one("action", "deliver", "reject"),
        Rule(
            cel="!has(self.deliver) || (has(self.match.__for__.hosted) && !self.match.__for__.hosted.negate)",
            message="deliver is for hosted domains: match for.hosted",
            holds=lambda rule: rule.deliver is None or _for_hosted(rule.match.for_),
        ),
    )

    name: Annotated[Label, Meta(description="Name, unique in the service; shown in traces.")]
    match: Annotated[Match, Meta(description="Criteria.")]
    action: Annotated[Label | None, Meta(description="Name of the action that takes the mail.")] = None
    deliver: Annotated[Deliver | None, Meta(description="Deliver as the MailDomain says.")] = None
    reject: Annotated[Reject | None, Meta(description="Refuse.")] = None


def _for_hosted(for_: For) -> bool:
    return for_.hosted is not None and not for_.hosted.negate
