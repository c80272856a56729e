"""A configuration in force and all that is made of it; a new one is a new ``Live``, swapped as one reference."""

from collections.abc import Mapping
from dataclasses import dataclass

from paquebot_mta.accept.local import build_local_policy
from paquebot_mta.accept.policy import AcceptPolicy, ListenerPolicy, build_policy
from paquebot_mta.config.errors import ConfigError
from paquebot_mta.config.service import MtaConfig
from paquebot_mta.deliver.tls import ClientContexts
from paquebot_mta.expand.expander import RuleExpander
from paquebot_mta.filter.running import Plan, RunningFilters
from paquebot_mta.table.lookup import Table
from paquebot_mta.table.open import build_tables


@dataclass(frozen=True)
class Live:
    """What sessions and deliveries look at."""

    config: MtaConfig
    tables: Mapping[str, Table]
    expander: RuleExpander
    contexts: ClientContexts
    policy: AcceptPolicy
    filters: Plan | None
    local: ListenerPolicy


def build_live(config: MtaConfig, filters: RunningFilters | None = None) -> Live:
    """Build tables, rules, filters and TLS contexts. Takes milliseconds to seconds: call it off the event loop.

    Nothing of it runs yet: filters start when their plan is applied.

    Raises:
        ConfigError: something can't be built; the reason names it.
    """
    try:
        tables = build_tables(config.tables)
        expander = RuleExpander(config, tables)
        plan = None if filters is None else filters.plan(config, tables)
        screens = {} if plan is None else plan.screens
        contexts = ClientContexts(config.service.certificates)
        for action in config.service.actions.values():
            if (remote := action.relay or action.lmtp) is not None:
                contexts.get(remote.tls)
        for destination in config.service.outbound.destinations:
            if destination.tls is not None:
                contexts.get(destination.tls)
        local = build_local_policy(config, tables, expander)
        return Live(config, tables, expander, contexts, build_policy(config, tables, expander, screens), plan, local)
    except ConfigError:
        raise
    except ValueError as error:
        raise ConfigError("service", str(error)) from error
