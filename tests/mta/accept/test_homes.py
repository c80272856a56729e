"""Where names without a domain live: the host's own name if it is served, else a hosted domain."""

import asyncio

import pytest

from paquebot_mta.accept.homes import build_homes
from paquebot_mta.accept.local import build_local_policy
from paquebot_mta.config.actions import Action, Maildir
from paquebot_mta.config.domains import Domain
from paquebot_mta.config.rules import Flag, For, From, Match, Pattern, Rule
from paquebot_mta.config.service import MtaConfig, ServiceShard
from paquebot_mta.expand.expander import RuleExpander
from paquebot_mta.expand.results import Accepted, Facts
from paquebot_mta.mail.address import Address

HOST = "mx.mail.example.test"
LOCAL, NOT_LOCAL = For(local=Flag()), For(local=Flag(negate=True))


def config(*hosted: str, rules: tuple[Rule, ...] = ()) -> MtaConfig:
    boxes = Action(maildir=Maildir(path="mail/%{user}"))
    domains = {name: Domain(name=name, mailboxes=("alice",), delivery=boxes) for name in hosted}
    service = ServiceShard(name="test/mail", hostname=HOST, listeners=(), rules=rules)
    return MtaConfig(digest="0" * 64, generation=1, service=service, domains=domains, tables={})


@pytest.mark.parametrize(
    ("hosted", "home"),
    [
        ((), HOST),
        (("a.test", "example.test", HOST), HOST),
        (("a.test", "example.test", "mail.example.test"), "mail.example.test"),
        (("a.test", "example.test"), "example.test"),
        (("b.test", "a.test"), "a.test"),
        (("deep.mx.mail.example.test", "z.test"), "deep.mx.mail.example.test"),  # the first, as it lies under none
        (("ample.test",), "ample.test"),
    ],
)
def test_the_home_of_a_host_is_itself_what_it_lies_under_or_the_first(hosted: tuple[str, ...], home: str) -> None:
    assert build_homes(config(*hosted)).of(HOST) == home
    assert build_homes(config(*hosted)).of(HOST.upper()) == home


@pytest.mark.parametrize(
    ("target", "outcome", "home"),
    [
        (LOCAL, "Action", HOST),
        (For(domains=Pattern(values=("b.test", HOST))), "Action", HOST),
        (NOT_LOCAL, "Action", "example.test"),
        (For(any=True), "Action", "example.test"),
        (For(domains=Pattern(values=(HOST,), negate=True)), "Action", "example.test"),
        (LOCAL, "Reject", "example.test"),
    ],
)
def test_a_host_that_a_rule_takes_mail_for_keeps_its_users(target: For, outcome: str, home: str) -> None:
    match = Match(from_=From(any=True), for_=target)
    rule = Rule(name="r", match=match, outcome=outcome, action="keep" if outcome == "Action" else "")  # type: ignore[arg-type]
    assert build_homes(config("example.test", rules=(rule,))).of(HOST) == home


async def test_programs_of_this_machine_are_told_where_users_live() -> None:
    hosted = Rule(name="hosted", match=Match(from_=From(any=True), for_=For(hosted=Flag())), outcome="Domain")
    found = config("example.test", rules=(hosted,))
    expander = RuleExpander(found, {})
    policy = await asyncio.to_thread(build_local_policy, found, {}, expander)
    assert policy.extensions[-1] == "XDOMAIN example.test"
    assert policy.hostname == HOST
    answer = await expander.expand(Facts("local", local=True), None, Address("alice", policy.homes.of(HOST)))
    assert isinstance(answer, Accepted)
