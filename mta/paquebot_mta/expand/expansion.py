"""Following aliases from one recipient to its targets: bounded, loop-safe, each target once."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from paquebot_mta.expand.hosted import Alias, HostedDomain, Mailbox
from paquebot_mta.expand.results import Reason, Refused, Target
from paquebot_mta.expand.targets import AddressTarget, ErrorTarget, MailboxTarget
from paquebot_mta.mail.address import Address
from paquebot_mta.mail.reply import Reply

MAX_DEPTH: Final = 10
MAX_TARGETS: Final = 1_000
MAX_NAMES: Final = 2_000
"""How many names one recipient may lead to, aliases counted."""

_UNKNOWN: Final = Reply(550, "Invalid recipient", "5.1.1")
_PROBLEM: Final = Reply(524, "Mailing list expansion problem", "5.2.4")


class ExpansionError(Exception):
    """The recipient can't be expanded; ``refused`` is the answer, the recipient not yet appended."""

    def __init__(self, reply: Reply, reason: Reason = "other") -> None:
        super().__init__(str(reply))
        self.refused = Refused(reply, reason)


Relay = Callable[[Address], Awaitable[Target | None]]
"""Gives the target for an address that is not ours, None if no rule lets us send there."""
MakeTarget = Callable[[HostedDomain, Address, Mailbox], Target]


class Expansion:
    """The state of one recipient's expansion: ``targets`` grows until ``add`` returns."""

    def __init__(self, hosted: Mapping[str, HostedDomain], make_target: MakeTarget, relay: Relay) -> None:
        self._hosted = hosted
        self._make_target = make_target
        self._relay = relay
        self._seen: set[str] = set()
        self._targets: dict[tuple[str, str], Target] = {}

    @property
    def targets(self) -> tuple[Target, ...]:
        """What was found, in order."""
        return tuple(self._targets.values())

    async def add(self, recipient: Address) -> None:
        """Expand a recipient of a hosted domain.

        Raises:
            ExpansionError: it is to be refused.
            TableError: a table gave no answer.
        """
        await self._walk(self._hosted[recipient.domain], recipient, (), may_catch_all=True)
        if not self._targets:
            raise ExpansionError(_PROBLEM)

    async def _walk(
        self, domain: HostedDomain, address: Address, ancestors: tuple[str, ...], *, may_catch_all: bool
    ) -> None:
        """Find what an address of ours stands for; one that stands in its own expansion can only be a mailbox."""
        loops = address.key in ancestors
        if not loops and not self._first_visit(address, ancestors):
            return
        alias = None if loops else await domain.find_alias(address.local_part)
        if alias is None and (mailbox := await domain.find_mailbox(address.local_part)):
            self._keep(self._make_target(domain, address, mailbox))
            return
        if alias is None and not loops and may_catch_all:
            alias = await domain.find_catch_all()
        if alias is not None:
            await self._follow(domain, alias, (*ancestors, address.key))
        elif not loops:
            raise ExpansionError(_PROBLEM) if ancestors else ExpansionError(_UNKNOWN, "unknown_user")

    def _first_visit(self, address: Address, ancestors: tuple[str, ...]) -> bool:
        if len(ancestors) > MAX_DEPTH or len(self._seen) >= MAX_NAMES:
            raise ExpansionError(_PROBLEM)
        known = address.key in self._seen
        self._seen.add(address.key)
        return not known

    async def _follow(self, domain: HostedDomain, alias: Alias, ancestors: tuple[str, ...]) -> None:
        for target in alias.targets:
            match target:
                case ErrorTarget(reply):
                    raise ExpansionError(reply)
                case MailboxTarget(name):
                    address = Address(_with_extension(domain, name, alias.extension), domain.name)
                    await self._walk(domain, address, ancestors, may_catch_all=False)
                case AddressTarget(address):
                    await self._forward(address, ancestors)

    async def _forward(self, address: Address, ancestors: tuple[str, ...]) -> None:
        domain = self._hosted.get(address.domain)
        if domain is not None:
            await self._walk(domain, address, ancestors, may_catch_all=True)
        elif target := await self._relay(address):
            self._keep(target)
        else:
            raise ExpansionError(_PROBLEM)

    def _keep(self, target: Target) -> None:
        self._targets.setdefault((target.action, target.destination.lower()), target)
        if len(self._targets) > MAX_TARGETS:
            raise ExpansionError(_PROBLEM)


def _with_extension(domain: HostedDomain, name: str, extension: str) -> str:
    """Hand the recipient's sub-address on to an alias's target that has none of its own."""
    if not extension or domain.split(name)[1]:
        return name
    return f"{name}{domain.config.delimiter}{extension}"
