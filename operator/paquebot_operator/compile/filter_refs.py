"""Where lists of filters lead: MailFilters of the same namespace, each compiled for whoever names it."""

from paquebot_mta.config.filters import BEFORE_RECIPIENTS, Builtin, Chain, Dnsbl, Filter, Process
from paquebot_operator.api.common import LocalRef
from paquebot_operator.compile.alone import filter_faults, refuse
from paquebot_operator.compile.conditions import Report
from paquebot_operator.compile.filters import compile_filter
from paquebot_operator.compile.objects import ObjectKey
from paquebot_operator.compile.scope import Scope


def compile_refs(refs: tuple[LocalRef, ...], path: str, scope: Scope) -> tuple[str, ...]:
    """Names of the filters of a list, which the scope uses from now on; those that can't be used are left out.

    What is wrong with a MailFilter is its own finding; that it can't be used is one of whoever names it.
    """
    found: list[str] = []
    for place, ref in enumerate(refs):
        where, key = f"{path}[{place}]", scope.key_of(ref.name)
        if str(key) in found:
            scope.report.refuse("UnsupportedValue", where, f"MailFilter {ref.name} is there twice")
        elif _use(key, scope, where):
            found.append(str(key))
    return tuple(found)


def compile_domain_refs(refs: tuple[LocalRef, ...], path: str, scope: Scope) -> tuple[str, ...]:
    """As ``compile_refs``, for a domain: its filters see nothing before a recipient, so they can't rewrite it."""
    found = compile_refs(refs, path, scope)
    for place, ref in enumerate(refs):
        key = str(scope.key_of(ref.name))
        if key in found and _rewrites_too_early(scope.used_filters.get(key), scope):
            message = f"MailFilter {ref.name} rewrites what comes before RCPT TO, which a domain's filters don't see: "
            scope.report.unresolved("FilterTooEarly", f"{path}[{place}]", f"{message}let a listener name it")
    return found


def _rewrites_too_early(used: Filter | None, scope: Scope) -> bool:
    kind = None if used is None else used.kind
    if isinstance(kind, Chain):
        return any(_rewrites_too_early(scope.used_filters.get(name), scope) for name in kind.filters)
    return isinstance(kind, Builtin | Dnsbl) and kind.action.kind == "rewrite" and kind.phase in BEFORE_RECIPIENTS


def compile_observers(refs: tuple[LocalRef, ...], path: str, scope: Scope) -> tuple[str, ...]:
    """As ``compile_refs``, for those who are only told of sessions: that means nothing to any but a program."""
    found = compile_refs(refs, path, scope)
    for place, ref in enumerate(refs):
        used = scope.used_filters.get(str(scope.key_of(ref.name)))
        if used is not None and not isinstance(used.kind, Process | Chain):
            message = f"MailFilter {ref.name} is no program: nobody hears what it is told of outgoing sessions"
            scope.report.warn("Accepted", "FilterWithoutEffect", f"{path}[{place}]", message)
    return found


def _use(key: ObjectKey, scope: Scope, where: str) -> bool:
    item = scope.objects.filters.get(key)
    scope.seen["MailFilter", key] = item
    if item is None:
        message = f"there is no MailFilter {key.name} in this namespace: create it"
        scope.report.unresolved("FilterNotFound", where, message)
        return False
    own = scope.below("MailFilter", key)
    judge_filter(key, own)
    scope.take(own)
    if own.report.refused():
        message = f"MailFilter {key.name} can't be used: see its conditions"
        scope.report.unresolved("InvalidFilter", where, message)
        return False
    return True


def judge_filter(key: ObjectKey, scope: Scope) -> Report:
    """Compile a MailFilter, and those of a chain, into its own scope; the report says what is wrong."""
    objects = scope.objects
    item = objects.filters[key]
    scope.used_filters[str(key)] = compile_filter(item, scope, local=objects.local)
    for place, ref in enumerate(item.spec.chain or ()):
        where, below = f"spec.chain[{place}]", ObjectKey(key.namespace, ref.name)
        member = objects.filters.get(below)
        scope.seen["MailFilter", below] = member
        if member is not None and member.spec.chain is not None:
            scope.report.unresolved("NestedChain", where, f"MailFilter {ref.name} is a chain itself: name its filters")
        elif any(ref == other for other in (item.spec.chain or ())[:place]):
            scope.report.refuse("UnsupportedValue", where, f"MailFilter {ref.name} is there twice")
        else:
            _use(below, scope, where)
    if not scope.report.refused():
        name = type(scope.used_filters[str(key)].kind).__name__
        refuse(filter_faults(str(key), name[0].lower() + name[1:], scope.used), scope.report)
    return scope.report
