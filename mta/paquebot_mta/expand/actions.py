"""Names of actions, as the queue keeps them, and what they stand for now."""

from typing import Final

from paquebot_mta.config.actions import Action
from paquebot_mta.config.service import MtaConfig

_DOMAIN_PREFIX: Final = "domain:"


def domain_action(domain: str) -> str:
    """Name a hosted domain's own delivery."""
    return _DOMAIN_PREFIX + domain


def resolve_action(config: MtaConfig, action_name: str) -> Action | None:
    """Find what an action name stands for in this configuration; None if it no longer stands for anything."""
    if not action_name.startswith(_DOMAIN_PREFIX):
        return config.service.actions.get(action_name)
    domain = config.domains.get(action_name.removeprefix(_DOMAIN_PREFIX))
    return domain.delivery if domain else None


def ttl_of(action: Action | None) -> int | None:
    """Give the action's own time to live in seconds, None if it has none."""
    if action is None:
        return None
    kinds = (action.relay, action.lmtp, action.maildir, action.mbox)
    return next((kind.ttl_seconds for kind in kinds if kind is not None), None)


def is_for_mailboxes(action: Action | None) -> bool:
    """Whether the action delivers to a user (and not to another host, or to nobody)."""
    return action is not None and (action.lmtp or action.maildir or action.mbox) is not None
