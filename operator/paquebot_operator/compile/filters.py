"""From a MailFilter to the contract's filter: one kind each, conditions joined, references resolved."""

from collections.abc import Iterator, Mapping
from typing import Final, Literal
from urllib.parse import urlsplit

from paquebot_mta.config import filters as contract
from paquebot_mta.config.patterns import regex_fault
from paquebot_operator.api import decisions, filters
from paquebot_operator.api.conditions import Criteria, When
from paquebot_operator.api.mailfilter import MailFilter
from paquebot_operator.api.matches import Flag, Pattern, Reject
from paquebot_operator.compile import names
from paquebot_operator.compile.objects import ObjectKey
from paquebot_operator.compile.scope import Scope
from paquebot_operator.compile.tables import is_network

SOCKETS: Final = "/run/paquebot-filters"
"""Where the containers of programs listen in a pod, each in a directory of its own."""
SOCKET: Final = "socket"
_PHASES: Final[Mapping[str, contract.Phase]] = {
    "Connect": "connect", "Helo": "helo", "Ehlo": "ehlo", "StartTLS": "starttls", "Auth": "auth",
    "MailFrom": "mail-from", "RcptTo": "rcpt-to", "Data": "data", "Commit": "commit",
}  # fmt: skip
_Set = Literal["rdns", "src", "helo", "auth", "mail-from", "rcpt-to"]
_PATTERNS: Final[tuple[tuple[str, str, _Set, str], ...]] = (
    ("rdns", "rdns", "rdns", "domain"),
    ("src", "src", "src", "netaddr"),
    ("helo", "helo", "helo", "domain"),
    ("mail_from", "mailFrom", "mail-from", "mailaddr"),
    ("rcpt_to", "rcptTo", "rcpt-to", "mailaddr"),
)
"""Attribute, field and kind of each criterion that is a set, and the service of a table that holds it."""


def compile_filter(item: MailFilter, scope: Scope, *, local: bool) -> contract.Filter:
    """Compile one filter; what is wrong goes into the scope's report.

    ``local``: programs are children of the MTA; else each has a container of its own.
    """
    spec = item.spec
    kind: contract.Kind
    if spec.builtin is not None:
        kind = _builtin(spec.builtin, scope)
    elif spec.process is not None:
        kind = _process(spec.process, scope, local=local)
    elif spec.chain is not None:
        namespace = scope.report.key.namespace
        kind = contract.Chain(filters=tuple(str(ObjectKey(namespace, ref.name)) for ref in spec.chain))
    else:
        kind = _asked(item, scope)
    return contract.Filter(kind=kind, mode=spec.mode)


def directory_of(key: ObjectKey) -> str:
    """Where the MTA sees what it shares with the container of a program."""
    return f"{SOCKETS}/{key.namespace}.{key.name}"


def _process(process: filters.Process, scope: Scope, *, local: bool) -> contract.Process:
    if not local and process.image is None:
        message = "in a cluster a program runs in a container of its own: set image, one that has the command in it"
        scope.report.refuse(names.INVALID, "spec.process.image", message)
    return contract.Process(
        command=process.command if local else (),
        socket="" if local else f"{directory_of(scope.report.key)}/{SOCKET}",
        protocol=process.protocol,
        timeout_seconds=process.timeout_milliseconds / 1_000,
        on_failure=process.on_failure,
        see_credentials=process.see_credentials,
    )


def _asked(item: MailFilter, scope: Scope) -> contract.Kind:
    """Services that are asked, over HTTP, DNS or a socket; and greylisting."""
    spec = item.spec
    if (rspamd := spec.rspamd) is not None:
        _check_url(rspamd.url, "spec.rspamd.url", scope)
        return contract.Rspamd(
            url=rspamd.url,
            password=scope.secret_text(rspamd.password_ref, "spec.rspamd.passwordRef"),
            timeout_seconds=rspamd.timeout_milliseconds / 1_000,
            max_bytes=rspamd.max_bytes,
            on_failure=rspamd.on_failure,
            reject=rspamd.reject,
            headers=rspamd.headers,
        )
    if spec.dnsbl is not None:
        return _dnsbl(spec.dnsbl, scope)
    if (score := spec.sender_score) is not None:
        return contract.SenderScore(
            zone=names.domain_name(score.zone, "spec.senderScore.zone", scope.report),
            block_below=score.block_below,
            block_phase=_PHASES[score.block_phase],  # type: ignore[arg-type]
            junk_below=score.junk_below,
            slow_factor_seconds=score.slow_factor_milliseconds / 1_000,
            header=score.header,
            timeout_seconds=score.timeout_milliseconds / 1_000,
        )
    if (greylist := spec.greylist) is not None:
        if greylist.store.startswith("redis"):
            _check_url(greylist.store, "spec.greylist.store", scope)
        return contract.Greylist(
            store=greylist.store,
            password=scope.secret_text(greylist.password_ref, "spec.greylist.passwordRef"),
            delay_seconds=greylist.delay_seconds,
            retry_seconds=greylist.retry_seconds,
            pass_seconds=greylist.pass_seconds,
            spf=greylist.spf,
            allow=scope.table(greylist.allow_ref, "spec.greylist.allowRef", "netaddr"),
            on_failure=greylist.on_failure,
        )
    milter = spec.milter
    assert milter is not None, "the schema wants exactly one kind"
    return contract.Milter(
        address=milter.address, timeout_seconds=milter.timeout_milliseconds / 1_000, on_failure=milter.on_failure
    )


def _check_url(url: str, path: str, scope: Scope) -> None:
    """Refuse what is no address, and warn of a password in it."""
    try:
        parts = urlsplit(url)
        where = parts.hostname, parts.port
    except ValueError:
        where = None, None
    if where[0] is None or where[1] == 0:
        scope.report.refuse(names.INVALID, path, "not an address with a host, and a port of 1 to 65535 if it has one")
    elif parts.query and parts.scheme in {"redis", "rediss"}:
        scope.report.refuse(names.INVALID, path, "write HOST:PORT/DB, without options behind it")
    elif parts.password:
        message = "whoever may read this object reads the password in it: put it into a Secret, and set passwordRef"
        scope.report.warn("Accepted", "PasswordInSpec", path, message)


def _dnsbl(dnsbl: filters.Dnsbl, scope: Scope) -> contract.Dnsbl:
    lists = tuple(
        contract.DnsList(
            zone=names.domain_name(each.zone, f"spec.dnsbl.lists[{place}].zone", scope.report),
            codes=each.codes,
            weight=each.weight,
        )
        for place, each in enumerate(dnsbl.lists)
    )
    return contract.Dnsbl(
        lists=lists,
        threshold=dnsbl.threshold,
        phase=_PHASES[dnsbl.phase],  # type: ignore[arg-type]
        action=_action(dnsbl.action),
        timeout_seconds=dnsbl.timeout_milliseconds / 1_000,
        on_failure=dnsbl.on_failure,
    )


def _builtin(builtin: decisions.Builtin, scope: Scope) -> contract.Builtin:
    return contract.Builtin(
        phase=_PHASES[builtin.phase],
        when=_when(builtin.when, scope),
        action=_action(builtin.action),
    )


def _action(action: decisions.FilterAction) -> contract.FilterAction:
    if action.reject is not None:
        return _refusal("reject", action.reject)
    if action.disconnect is not None:
        return _refusal("disconnect", action.disconnect)
    if action.rewrite is not None:
        return contract.FilterAction(kind="rewrite", value=action.rewrite.value)
    if action.report is not None:
        return contract.FilterAction(kind="report", text=action.report.text)
    plain: tuple[tuple[str, object], ...] = (("junk", action.junk), ("bypass", action.bypass))
    kind = next((kind for kind, given in plain if given is not None), "proceed")
    return contract.FilterAction(kind=kind)  # type: ignore[arg-type]


def _refusal(kind: Literal["reject", "disconnect"], refusal: Reject) -> contract.FilterAction:
    return contract.FilterAction(kind=kind, code=refusal.code, status=refusal.status, text=refusal.text)


def _when(when: When, scope: Scope) -> contract.Criterion:
    """All of ``all``, one of ``any``, none of ``not``; what is not given asks nothing."""
    wanted = [_criteria(each, f"spec.builtin.when.all[{place}]", scope) for place, each in enumerate(when.all)]
    some = [_criteria(each, f"spec.builtin.when.any[{place}]", scope) for place, each in enumerate(when.any)]
    none = [_criteria(each, f"spec.builtin.when.not[{place}]", scope) for place, each in enumerate(when.not_)]
    if some:
        wanted.append(_joined("any", some))
    wanted += [_not(each) for each in none]
    return _joined("all", wanted)


def _criteria(criteria: Criteria, path: str, scope: Scope) -> contract.Criterion:
    return _joined("all", list(_given(criteria, path, scope)))


def _given(criteria: Criteria, path: str, scope: Scope) -> Iterator[contract.Criterion]:
    if criteria.fcrdns is not None:
        yield _flagged(criteria.fcrdns, contract.Criterion(kind="fcrdns"))
    if criteria.has_rdns is not None:
        yield _flagged(criteria.has_rdns, contract.Criterion(kind="rdns"))
    for attribute, name, kind, service in _PATTERNS:
        pattern: Pattern | None = getattr(criteria, attribute)
        if pattern is not None:
            yield _pattern(pattern, kind, service, f"{path}.{name}", scope)
    if criteria.auth is not None:
        known = contract.Criterion(kind="auth")
        users = criteria.auth.users
        if users is None:
            yield _not(known) if criteria.auth.negate else known
        else:
            # "All but bob" must not mean the whole world.
            yield _joined("all", [known, _pattern(users, "auth", "string", f"{path}.auth.users", scope)])


def _pattern(pattern: Pattern, kind: _Set, service: str, path: str, scope: Scope) -> contract.Criterion:
    _check(pattern, service, path, scope)
    found = contract.Criterion(
        kind=kind,
        values=pattern.values,
        regex=pattern.regex,
        table=scope.table(pattern.table_ref, f"{path}.tableRef", service),
    )
    if not pattern.negate:
        return found
    # A client without a name is not one with another name.
    return _joined("all", [contract.Criterion(kind="rdns"), _not(found)]) if kind == "rdns" else _not(found)


def _check(pattern: Pattern, service: str, path: str, scope: Scope) -> None:
    networks = service == "netaddr"
    if networks and pattern.regex:
        scope.report.refuse(names.INVALID, f"{path}.regex", "networks are no regular expressions")
    for place, value in enumerate(pattern.values):
        reason = regex_fault(value) if pattern.regex else ""
        if networks and not is_network(value):
            reason = "not a network such as 192.0.2.0/24 or 2001:db8::/32"
        if reason:
            scope.report.refuse(names.INVALID, f"{path}.values[{place}]", reason)


def _flagged(flag: Flag, criterion: contract.Criterion) -> contract.Criterion:
    return _not(criterion) if flag.negate else criterion


def _not(criterion: contract.Criterion) -> contract.Criterion:
    return contract.Criterion(kind="not", items=(criterion,))


def _joined(kind: Literal["all", "any"], items: list[contract.Criterion]) -> contract.Criterion:
    if len(items) == 1:
        return items[0]
    return contract.Criterion(kind=kind, items=tuple(items))
