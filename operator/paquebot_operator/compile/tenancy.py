"""What may be touched in pods: nobody's path leads into the queue, and a guest's only to mailboxes of its own.

A guest is a MailDomain of another namespace than its MailService's: the pods, their files and their sockets are not its
own, and other guests have mailboxes on the same volume.
"""

import re
from collections.abc import Iterator

from paquebot_mta.config.actions import Action
from paquebot_mta.config.domains import Domain
from paquebot_mta.config.filters import Filter, Greylist, Milter, Process
from paquebot_operator.api.maildomain import MailDomain
from paquebot_operator.compile.last_good import Used
from paquebot_operator.compile.objects import service_of
from paquebot_operator.compile.places import MAIL, QUEUE

REASON = "PathNotAllowed"
_PLACEHOLDER = re.compile(r"%\{[a-z]+\}")
_ROOM = f"{MAIL}/%{{domain}}"


def is_guest(domain: MailDomain) -> bool:
    """Whether a domain is carried by pods of another namespace."""
    return service_of(domain).namespace != domain.metadata.namespace


def path_faults(action: Action, *, guest: bool) -> Iterator[tuple[str, str]]:
    """Say where an action leads that it must not: field, and why."""
    for kind, local in (("maildir", action.maildir), ("mbox", action.mbox)):
        if local is not None and (reason := _mailbox_fault(local.path, guest=guest)):
            yield f"{kind}.path", reason
    if guest and action.lmtp is not None and action.lmtp.destination.startswith("unix:"):
        yield "lmtp.destination", _not_yours("a unix socket")


def guest_filter_fault(each: Filter) -> str:
    """Say what of a filter is not for guests, empty if nothing is."""
    match each.kind:
        case Process():
            return "a program runs in the pods of the MailService: name one from a MailDomain of its namespace"
        case Greylist(store=store) if store.startswith("sqlite:"):
            return _not_yours("a store in a file of one's own choice")
        case Milter(address=address) if address.startswith("unix:"):
            return _not_yours("a unix socket")
    return ""


def may_keep(domain: Domain, used: Used, *, guest: bool) -> bool:
    """Whether an entry of before may stay in force where its successor can't be used."""
    if any(path_faults(domain.delivery, guest=guest)):
        return False
    return not guest or not any(guest_filter_fault(each) for each in used.filters.values())


def _mailbox_fault(template: str, *, guest: bool) -> str:
    names = [name for name in template.split("/") if name not in {"", "."}]
    if _may_be_below(names, QUEUE):
        return f"may lead into the queue, {QUEUE}: mailboxes belong below {MAIL}/"
    if not guest:
        return ""
    room = _ROOM.strip("/").split("/")
    if not template.startswith("/") or names[: len(room)] != room:
        return f"must begin with {_ROOM}/: the MailService is of another namespace, and the volume is not yours alone"
    return ""


def _may_be_below(names: list[str], folder: str) -> bool:
    """Whether a path with placeholders may be a folder or lead into it. Pods work in /, so relative ones count too."""
    wanted = folder.strip("/").split("/")
    pairs = zip(names, wanted, strict=False)
    return len(names) >= len(wanted) and all(_may_be(pattern, name) for pattern, name in pairs)


def _may_be(pattern: str, name: str) -> bool:
    return re.fullmatch("[^/]*".join(map(re.escape, _PLACEHOLDER.split(pattern))), name) is not None


def _not_yours(what: str) -> str:
    return f"{what} is in the pods of the MailService: name it from an object of its namespace"
