"""Small configurations and one question, for tests of rules and expansion."""

from collections.abc import Mapping

from paquebot_mta.config.actions import Action, Lmtp, Maildir, Relay
from paquebot_mta.config.domains import Domain
from paquebot_mta.config.listeners import Listener
from paquebot_mta.config.rules import Flag, For, From, Match, Rule
from paquebot_mta.config.service import MtaConfig, ServiceShard
from paquebot_mta.expand.expander import RuleExpander
from paquebot_mta.expand.results import Accepted, Facts, Refused
from paquebot_mta.mail.address import parse_address
from paquebot_mta.table.lookup import Table

STRANGER = Facts(client_address="192.0.2.77", client_name="mail.client.example", helo="mail.client.example")
OURSELVES = Facts(client_address="local")
FOR_HOSTED = Rule(name="in", match=Match(from_=From(any=True), for_=For(hosted=Flag())), outcome="Domain")
OUT = Rule(name="out", match=Match(from_=From(local=Flag()), for_=For(any=True)), outcome="Action", action="relay")
ACTIONS = {
    "relay": Action(relay=Relay(ttl_seconds=3_600)),
    "lmtp": Action(lmtp=Lmtp(destination="localhost:24")),
    "boxes": Action(maildir=Maildir(path="mail/%{user}")),
}


def domain(name: str = "example.test", **fields: object) -> Domain:
    """Make a hosted domain with alice and bob, unless told otherwise."""
    given = {"mailboxes": ("alice", "bob"), "delivery": ACTIONS["boxes"], **fields}
    return Domain(name=name, **given)  # type: ignore[arg-type]


def config(*domains: Domain, rules: tuple[Rule, ...] = (FOR_HOSTED, OUT)) -> MtaConfig:
    """Make a service with those domains."""
    service = ServiceShard(
        name="test/mail", hostname="mx.example.test", listeners=(Listener(name="mx"),), rules=rules, actions=ACTIONS
    )
    return MtaConfig(
        digest="0" * 64, generation=1, service=service, domains={each.name: each for each in domains}, tables={}
    )


async def ask(
    configuration: MtaConfig,
    recipient: str,
    *,
    facts: Facts = STRANGER,
    sender: str = "joe@client.example",
    tables: Mapping[str, Table] | None = None,
) -> Accepted | Refused:
    """Ask about one recipient; an empty sender is the null reverse-path."""
    reverse_path = parse_address(sender) if sender else None
    return await RuleExpander(configuration, tables or {}).expand(facts, reverse_path, parse_address(recipient))


def destinations(answer: Accepted | Refused) -> list[str]:
    """List the destinations of an accepted recipient."""
    assert isinstance(answer, Accepted), answer
    return [target.destination for target in answer.targets]


def refusal(answer: Accepted | Refused) -> str:
    """Give the reply of a refused recipient as one line."""
    assert isinstance(answer, Refused), answer
    return str(answer.reply)
