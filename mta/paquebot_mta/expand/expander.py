"""Rules and hosted domains joined: what RCPT is answered (implements ``Expander``)."""

from collections.abc import Mapping
from typing import Final

from paquebot_mta.config.rules import Rule
from paquebot_mta.config.service import MtaConfig
from paquebot_mta.expand.actions import domain_action, is_for_mailboxes, resolve_action, ttl_of
from paquebot_mta.expand.criteria import Question, Surroundings
from paquebot_mta.expand.expansion import Expansion, ExpansionError
from paquebot_mta.expand.hosted import HostedDomain, Mailbox
from paquebot_mta.expand.results import Accepted, Facts, Refused, Target
from paquebot_mta.expand.rules import RuleSet
from paquebot_mta.mail.address import Address
from paquebot_mta.mail.reply import Reply
from paquebot_mta.table.lookup import Table, TableError

_DENIED: Final = Refused(Reply(550, "Invalid recipient", "5.7.1"), "relay_denied")
_TABLE_FAULT: Final = Refused(Reply(451, "Temporary failure", "4.3.0"), "other")
_OURSELVES: Final = Facts(client_address="local", local=True)
"""Mail that an alias sends on counts as ours."""
_DELIMITER: Final = "+"


class RuleExpander:
    """Judges recipients by one configuration; a new configuration is a new expander.

    Raises:
        ValueError: a rule or domain can't be used; the message names it.
    """

    def __init__(self, config: MtaConfig, tables: Mapping[str, Table]) -> None:
        self._config = config
        self._hosted = {name: HostedDomain(domain, tables) for name, domain in config.domains.items()}
        around = Surroundings(tables, frozenset(self._hosted), config.service.hostname)
        self._rules = RuleSet(config.service.rules, around)

    async def expand(self, facts: Facts, reverse_path: Address | None, recipient: Address) -> Accepted | Refused:
        """Judge one recipient."""
        try:
            result = await self._judge(Question(facts, reverse_path, recipient))
        except ExpansionError as error:
            result = error.refused
        except TableError:
            result = _TABLE_FAULT
        if isinstance(result, Refused):
            return Refused(result.reply.with_suffix(f": <{recipient}>"), result.reason)
        return result

    async def _judge(self, question: Question) -> Accepted | Refused:
        rule = await self._rules.first_match(question)
        if rule is None:
            return _DENIED
        if rule.outcome == "Reject":
            return Refused(Reply(rule.reject.code, rule.reject.text, rule.reject.status), "other")
        if rule.outcome == "Action" and not (_is_for_hosted(rule) and question.recipient.domain in self._hosted):
            return Accepted((self._direct(rule.action, question.recipient),), rule.name)
        if question.recipient.domain not in self._hosted:
            return _DENIED
        return await self._expand_hosted(rule, question)

    async def _expand_hosted(self, rule: Rule, question: Question) -> Accepted:
        def make_target(domain: HostedDomain, address: Address, mailbox: Mailbox) -> Target:
            action = rule.action if rule.outcome == "Action" else domain_action(domain.name)
            return self._target(action, address, mailbox)

        async def relay(address: Address) -> Target | None:
            forwarded = await self._rules.first_match(Question(_OURSELVES, question.reverse_path, address))
            is_action = forwarded is not None and forwarded.outcome == "Action"
            return self._direct(forwarded.action, address) if forwarded and is_action else None

        expansion = Expansion(self._hosted, make_target, relay)
        await expansion.add(question.recipient)
        return Accepted(expansion.targets, rule.name)

    def _direct(self, action: str, recipient: Address) -> Target:
        """Give a recipient to an action as it is; one that delivers to users gets the local-part as the user."""
        if not is_for_mailboxes(resolve_action(self._config, action)):
            return self._target(action, recipient, Mailbox("", ""))
        name, _, extension = recipient.local_part.partition(_DELIMITER)
        whole = Mailbox(recipient.local_part.lower(), "")
        return self._target(action, recipient, Mailbox(name.lower(), extension) if name else whole)

    def _target(self, action: str, address: Address, mailbox: Mailbox) -> Target:
        ttl_seconds = ttl_of(resolve_action(self._config, action))
        return Target(str(address), action, mailbox.user, mailbox.extension, ttl_seconds)


def _is_for_hosted(rule: Rule) -> bool:
    hosted = rule.match.for_.hosted
    return hosted is not None and not hosted.negate
