"""Which envelopes of a message travel together."""

from collections.abc import Iterable, Iterator
from typing import Literal

from msgspec import Struct

from paquebot_mta.config.actions import Action
from paquebot_mta.config.service import MtaConfig
from paquebot_mta.expand.actions import resolve_action
from paquebot_mta.mail.envelope import Envelope, Stored
from paquebot_mta.mail.ids import Evpid

Transport = Literal["relay", "lmtp", "maildir", "mbox", "discard"]


class Destination(Struct, frozen=True):
    """Where envelopes go: an action, and for MX relaying the recipients' domain. It is held and limited as one."""

    action_name: str
    domain: str = ""


class Group(Struct, frozen=True):
    """Envelopes of one message with one destination and one effective reverse-path: one transaction."""

    stored: Stored
    destination: Destination
    action: Action | None
    reverse_path: str
    envelopes: tuple[Envelope, ...]

    @property
    def transport(self) -> Transport:
        """The kind of its action; mail without a configured action counts as relayed."""
        kinds: tuple[Transport, ...] = ("lmtp", "maildir", "mbox", "discard")
        return next((kind for kind in kinds if getattr(self.action, kind, None) is not None), "relay")


def group(stored: Stored, evpids: Iterable[Evpid], config: MtaConfig) -> Iterator[Group]:
    """Split the due envelopes of a message into transactions of bounded size."""
    wanted = set(evpids)
    buckets: dict[tuple[Destination, str], list[Envelope]] = {}
    for envelope in stored.message.envelopes:
        if envelope.evpid in wanted:
            action = resolve_action(config, envelope.action)
            key = (_destination(envelope, action), _reverse_path(stored.message.reverse_path, action))
            buckets.setdefault(key, []).append(envelope)
    size = config.service.outbound.limits.recipients_per_transaction
    for (destination, reverse_path), envelopes in buckets.items():
        action = resolve_action(config, destination.action_name)
        for start in range(0, len(envelopes), size):
            yield Group(stored, destination, action, reverse_path, tuple(envelopes[start : start + size]))


def is_local(action: Action | None) -> bool:
    """Whether the action ends on this machine, so that retries are cheap."""
    return action is not None and action.relay is None


def _destination(envelope: Envelope, action: Action | None) -> Destination:
    """Mail for one smarthost, LMTP server or maildir tree is one destination; MX relaying is one for each domain."""
    if action is not None and action.relay is not None and not action.relay.host:
        return Destination(envelope.action, envelope.destination.rpartition("@")[2])
    return Destination(envelope.action)


def _reverse_path(reverse_path: str, action: Action | None) -> str:
    """Apply a relay's sender override, never to the null reverse-path (``@domain`` keeps the local-part)."""
    override = action.relay.mail_from if action is not None and action.relay is not None else ""
    if not override or not reverse_path:
        return reverse_path
    return reverse_path.rpartition("@")[0] + override if override.startswith("@") else override
