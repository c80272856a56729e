"""Which recipient gets which action: rules, first match wins, no match is 550."""

from typing import Literal

from paquebot_mta.config.base import Value


class Pattern(Value, frozen=True, kw_only=True):
    """A set of texts: any of ``values``, or found in ``table``; ``negate`` turns the answer round.

    Attributes:
        values: literal entries; wildcards as in tables of the criterion's service.
        table: name of a table.
        regex: ``values`` are regular expressions.
        negate: match what is not in the set.
    """

    values: tuple[str, ...] = ()
    table: str = ""
    regex: bool = False
    negate: bool = False


class Flag(Value, frozen=True, kw_only=True):
    """A yes-or-no criterion."""

    negate: bool = False


class From(Value, frozen=True, kw_only=True):
    """Where the session comes from. Exactly one criterion is set.

    Attributes:
        any: anywhere.
        local: this machine: loopback or unix socket, and mail that we make ourselves.
        auth: authenticated; ``users`` narrows it.
        networks: client's address in these networks (service ``netaddr``).
        rdns: client's verified reverse name; never holds, negated or not, for a client without one.
    """

    any: bool = False
    local: Flag | None = None
    auth: Flag | None = None
    users: Pattern | None = None
    networks: Pattern | None = None
    rdns: Pattern | None = None


class For(Value, frozen=True, kw_only=True):
    """Where the recipient is. Exactly one criterion is set.

    Attributes:
        any: anywhere.
        hosted: a domain of a MailDomain of this service.
        local: our own host name or localhost.
        domains: recipient's domain in a set (service ``domain``).
    """

    any: bool = False
    hosted: Flag | None = None
    local: Flag | None = None
    domains: Pattern | None = None


class Match(Value, frozen=True, kw_only=True):
    """All given criteria must hold (service ``mailaddr`` for addresses)."""

    from_: From
    for_: For
    tag: Pattern | None = None
    helo: Pattern | None = None
    auth: Flag | None = None
    auth_users: Pattern | None = None
    tls: Flag | None = None
    mail_from: Pattern | None = None
    rcpt_to: Pattern | None = None


class Reject(Value, frozen=True, kw_only=True):
    """Answer of a rule that refuses; the code must be 4yz or 5yz."""

    code: int = 550
    status: str = "5.7.1"
    text: str = "Invalid recipient"


class Rule(Value, frozen=True, kw_only=True):
    """A rule: criteria and what to do.

    Attributes:
        name: unique within the service; shown in traces.
        outcome: ``Action``: deliver by ``action``; ``Domain``: by the recipient domain's own delivery; ``Reject``.
        action: name of an action, for ``Action``.
        reject: the answer, for ``Reject``.
    """

    name: str
    match: Match
    outcome: Literal["Action", "Domain", "Reject"]
    action: str = ""
    reject: Reject = Reject()
