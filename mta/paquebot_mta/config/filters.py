"""Filters: conditions and actions of our own, programs that speak a protocol, and services that are asked.

Names refer to ``ServiceShard.filters``. What a filter may decide is the same for all: see ``paquebot_mta.filter``.
"""

from typing import Final, Literal

from paquebot_mta.config.base import Value

Phase = Literal[
    "connect", "helo", "ehlo", "starttls", "auth", "mail-from", "rcpt-to", "data", "data-line", "commit", "rset",
    "noop", "quit",
]  # fmt: skip
"""Where a filter may be asked, spelled as in OpenSMTPD's filter protocol (smtpd-filters(7))."""

BEFORE_RECIPIENTS: Final[frozenset[Phase]] = frozenset({"connect", "helo", "ehlo", "starttls", "auth", "mail-from"})
"""Phases that a domain's filters don't see: what a session is about shows at its recipients."""

OnFailure = Literal["TempFail", "Proceed", "Reject"]
"""What a phase becomes if its filter is dead, late or answers garbage."""


class Criterion(Value, frozen=True, kw_only=True):
    """One test of a session or transaction, or several joined.

    Attributes:
        kind: what is looked at; ``all``, ``any`` and ``not`` join ``items`` (``not`` has one).
        values: literal entries in the grammar of the kind; ``regex``: they are regular expressions.
        table: name of a table instead of values. For ``auth`` neither means: authenticated at all; for ``rdns``
            neither means: there is a reverse name.
    """

    kind: Literal["fcrdns", "rdns", "src", "helo", "auth", "mail-from", "rcpt-to", "all", "any", "not"]
    values: tuple[str, ...] = ()
    regex: bool = False
    table: str = ""
    items: "tuple[Criterion, ...]" = ()


class FilterAction(Value, frozen=True, kw_only=True):
    """What a built-in filter does.

    Attributes:
        kind: as in OpenSMTPD; ``bypass`` ends the chain for the phase, ``report`` says ``text`` and goes on.
        value: of ``rewrite``: the new parameter.
        code, status, text: of ``reject`` and ``disconnect``.
    """

    kind: Literal["proceed", "junk", "rewrite", "reject", "disconnect", "bypass", "report"]
    value: str = ""
    code: int = 550
    status: str = "5.7.1"
    text: str = "Rejected by policy"


class Builtin(Value, frozen=True, kw_only=True, tag="Builtin"):
    """A condition and an action in one phase."""

    phase: Phase
    when: Criterion
    action: FilterAction


class Process(Value, frozen=True, kw_only=True, tag="Process"):
    """A program that speaks OpenSMTPD's filter protocol.

    Attributes:
        command: program and arguments, run as a child; empty if ``socket`` is set.
        socket: path of a unix socket on which its bridge listens (a container of its own in the pod).
        protocol: highest version that is spoken with it.
        timeout_seconds: for each answer, and for a piece of content.
        see_credentials: whether the arguments of AUTH are given to it unmasked.
    """

    command: tuple[str, ...] = ()
    socket: str = ""
    protocol: Literal["0.4", "0.5", "0.6", "0.7"] = "0.7"
    timeout_seconds: float = 30.0
    on_failure: OnFailure = "TempFail"
    see_credentials: bool = False


class Rspamd(Value, frozen=True, kw_only=True, tag="Rspamd"):
    """rspamd's HTTP protocol (``/checkv2``).

    Attributes:
        url: of its normal or proxy worker. ``password``: empty for none.
        max_bytes: longer messages are not checked.
        reject: whether its "reject" refuses; otherwise it is junk.
        headers: whether X-Spam fields are added.
    """

    url: str
    password: str = ""
    timeout_seconds: float = 15.0
    max_bytes: int = 10_485_760
    on_failure: OnFailure = "TempFail"
    reject: bool = True
    headers: bool = True


class DnsList(Value, frozen=True, kw_only=True):
    """A DNS list (RFC 5782): ``codes`` are answers that count (addresses or networks in 127.0.0.0/8), none: any."""

    zone: str
    codes: tuple[str, ...] = ()
    weight: int = 1


class Dnsbl(Value, frozen=True, kw_only=True, tag="Dnsbl"):
    """Lists of client addresses.

    Attributes:
        threshold: the weights of the lists that name the client must reach it.
        action: then.
    """

    lists: tuple[DnsList, ...]
    threshold: int = 1
    phase: Literal["connect", "helo", "mail-from", "rcpt-to"] = "connect"
    action: FilterAction = FilterAction(kind="reject", code=550, status="5.7.1", text="Your address is listed")
    timeout_seconds: float = 5.0
    on_failure: OnFailure = "Proceed"


class SenderScore(Value, frozen=True, kw_only=True, tag="SenderScore"):
    """A reputation from 0 to 100, asked by DNS as Sender Score is; -1 turns a limit off.

    Attributes:
        block_below, junk_below: scores below are refused, or junk.
        slow_factor_seconds: each phase of a client with score 0 waits so long, with 100 not at all.
        header: whether X-SenderScore is added.
    """

    zone: str = "score.senderscore.com"
    block_below: int = -1
    block_phase: Literal["connect", "helo", "ehlo", "starttls", "auth", "mail-from", "rcpt-to"] = "connect"
    junk_below: int = -1
    slow_factor_seconds: float = 0.0
    header: bool = False
    timeout_seconds: float = 5.0


class Greylist(Value, frozen=True, kw_only=True, tag="Greylist"):
    """Strangers come again (RFC 6647).

    Attributes:
        store: ``volume`` (a file beside the queue), ``memory`` (of each process), ``sqlite:PATH``,
            ``redis://HOST:PORT/DB`` or ``rediss://`` (TLS).
        password: of Redis, empty for none or one in ``store``.
        delay_seconds: first tried again after; ``retry_seconds``: and before; ``pass_seconds``: known for so long.
        spf: key by domain where the client passes SPF for it, else by its network.
        allow: name of a table (netaddr) of clients that are never asked.
    """

    store: str = "memory"
    password: str = ""
    delay_seconds: int = 300
    retry_seconds: int = 172_800
    pass_seconds: int = 3_110_400
    spf: bool = True
    allow: str = ""
    on_failure: OnFailure = "Proceed"


class Milter(Value, frozen=True, kw_only=True, tag="Milter"):
    """Sendmail's mail filter protocol, version 6; ``address`` is ``host:port``, ``[v6]:port`` or ``unix:/path``."""

    address: str
    timeout_seconds: float = 30.0
    on_failure: OnFailure = "TempFail"


class Chain(Value, frozen=True, kw_only=True, tag="Chain"):
    """Several filters, asked in order."""

    filters: tuple[str, ...]


Kind = Builtin | Process | Rspamd | Dnsbl | SenderScore | Greylist | Milter | Chain


class Filter(Value, frozen=True, kw_only=True):
    """One filter by its name.

    Attributes:
        mode: ``Enforce``; ``Shadow``: decisions are logged and counted, not applied; ``Junk``: what it refuses is junk.
    """

    kind: Kind
    mode: Literal["Enforce", "Shadow", "Junk"] = "Enforce"
