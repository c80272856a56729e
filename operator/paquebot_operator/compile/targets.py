"""Aliases and their targets: a mailbox, an address, or ``error:CODE text``."""

import re
from collections.abc import Iterable

from paquebot_mta.config.domains import Domain
from paquebot_operator.api.maildomain import Alias
from paquebot_operator.compile import names
from paquebot_operator.compile.conditions import Report

_ERROR = re.compile(r":?error:\s*[45][0-9]{2} [A-Za-z0-9].*")


def compile_aliases(aliases: tuple[Alias, ...], domain: str, report: Report) -> dict[str, tuple[str, ...]]:
    """Aliases by local-part, folded and sorted."""
    compiled: dict[str, tuple[str, ...]] = {}
    for place, alias in enumerate(aliases):
        path = f"spec.aliases[{place}]"
        name = names.local_part(alias.name, domain, f"{path}.name", report)
        if name and name in compiled:
            report.refuse(names.INVALID, f"{path}.name", "another alias has this name, but for case")
        compiled[name] = compile_targets(alias.targets, domain, f"{path}.targets", report)
    return dict(sorted(compiled.items()))


def compile_targets(targets: tuple[str, ...], domain: str, path: str, report: Report) -> tuple[str, ...]:
    """Targets in order, each once."""
    compiled = [_target(target.strip(), domain, f"{path}[{place}]", report) for place, target in enumerate(targets)]
    return tuple(dict.fromkeys(compiled))


def warn_unknown(domain: Domain, report: Report) -> None:
    """Warn of targets that are no mailbox, and of a missing postmaster (RFC 5321, 4.5.1)."""
    if domain.accept_any_mailbox or domain.mailbox_table or domain.alias_table:
        return
    known = {*domain.mailboxes, *domain.aliases}
    if "postmaster" not in known and not domain.catch_all:
        message = "nobody reads postmaster: add it to mailboxes or aliases (RFC 5321, 4.5.1)"
        report.warn("Accepted", "PostmasterMissing", "spec.aliases", message)
    for where, targets in (*_named(domain), ("spec.catchAll", domain.catch_all)):
        for target in targets:
            if _base(target, domain.delimiter) not in known and _is_local(target):
                report.warn("Accepted", "UnknownTarget", where, f"{target} is neither a mailbox nor an alias")


def _target(text: str, domain: str, path: str, report: Report) -> str:
    if re.match(r":?error:", text, re.IGNORECASE):
        if not _ERROR.fullmatch(text):
            report.refuse(names.INVALID, path, "write error:CODE text, with a code of 400 to 599")
        return text
    if "@" not in text:
        return names.local_part(text, domain, path, report)
    return names.address(text, path, report)


def _named(domain: Domain) -> Iterable[tuple[str, tuple[str, ...]]]:
    return ((f"spec.aliases[{name}]", targets) for name, targets in domain.aliases.items())


def _is_local(target: str) -> bool:
    return "@" not in target and not target.startswith((":error:", "error:"))


def _base(target: str, delimiter: str) -> str:
    end = target.find(delimiter, 1) if delimiter else -1
    return target if end < 0 else target[:end]
