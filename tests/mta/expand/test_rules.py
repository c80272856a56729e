"""Which rule matches."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from paquebot_mta.config.rules import Flag, For, From, Match, Pattern, Reject, Rule
from paquebot_mta.config.tables import Inline
from paquebot_mta.expand.criteria import Question, Surroundings
from paquebot_mta.expand.results import Accepted, Facts, Refused
from paquebot_mta.expand.rules import RuleSet
from paquebot_mta.mail.address import parse_address
from paquebot_mta.table.static import StaticTable
from tests.mta.expand.helpers import FOR_HOSTED, OURSELVES, OUT, STRANGER, ask, config, domain, refusal
from tests.mta.expand.test_expansion import BrokenTable

ANYONE, ANYWHERE = From(any=True), For(any=True)
AUTHENTICATED = replace(STRANGER, user="bob", tls=True)


async def matches(match: Match, facts: Facts = STRANGER, sender: str = "joe@client.example") -> bool:
    """Whether one rule matches a recipient at remote.example."""
    tables = {"nets": StaticTable(Inline(keys=("192.0.2.0/24", "2001:db8::/32")), ("netaddr",))}
    rules = RuleSet(
        (Rule(name="r", match=match, outcome="Reject"),),
        Surroundings(tables, frozenset({"example.test"}), "mx.example.test"),
    )
    reverse_path = parse_address(sender) if sender else None
    return await rules.first_match(Question(facts, reverse_path, parse_address("Rcpt+tag@remote.example"))) is not None


def of(*values: str) -> Pattern:
    """Make a pattern of literals."""
    return Pattern(values=values)


HOLDS: dict[str, Match] = {
    "tag": Match(from_=ANYONE, for_=ANYWHERE, tag=of("MX")),
    "networks": Match(from_=From(networks=of("192.0.2.0/24")), for_=ANYWHERE),
    "rdns": Match(from_=From(rdns=of("*.client.example")), for_=ANYWHERE),
    "users": Match(from_=From(users=of("bob")), for_=ANYWHERE),
    "from auth": Match(from_=From(auth=Flag()), for_=ANYWHERE),
    "domains": Match(from_=ANYONE, for_=For(domains=of("remote.example", "*.remote.example"))),
    "helo": Match(from_=ANYONE, for_=ANYWHERE, helo=of("*.CLIENT.example")),
    "auth": Match(from_=ANYONE, for_=ANYWHERE, auth=Flag()),
    "auth users": Match(from_=ANYONE, for_=ANYWHERE, auth_users=of("alice", "bob")),
    "tls": Match(from_=ANYONE, for_=ANYWHERE, tls=Flag()),
    "mail from": Match(from_=ANYONE, for_=ANYWHERE, mail_from=of("@client.example")),
    "rcpt to": Match(from_=ANYONE, for_=ANYWHERE, rcpt_to=of("rcpt")),
    "regex": Match(from_=ANYONE, for_=ANYWHERE, rcpt_to=Pattern(values=("^rcpt.*@remote",), regex=True)),
}
FACTS = Facts("192.0.2.9", "mail.client.example", "mail.client.example", "mx", "bob", tls=True)


def negated(match: Match) -> Match:
    """Negate the criterion that is set."""

    def turn(value: Pattern | Flag | None) -> Pattern | Flag | None:
        return replace(value, negate=True) if value else None

    source = match.from_ if match.from_.any else replace(match.from_, **_turned(match.from_))
    target = match.for_ if match.for_.any else replace(match.for_, **_turned(match.for_))
    names = ("tag", "helo", "auth", "auth_users", "tls", "mail_from", "rcpt_to")
    return replace(match, from_=source, for_=target, **{name: turn(getattr(match, name)) for name in names})


def _turned(criteria: From | For) -> dict[str, object]:
    fields = ((name, getattr(criteria, name)) for name in criteria.__struct_fields__)
    return {name: replace(value, negate=True) for name, value in fields if isinstance(value, Pattern | Flag)}


@pytest.mark.parametrize("name", HOLDS)
async def test_each_criterion_can_hold_and_can_be_negated(name: str) -> None:
    assert await matches(HOLDS[name], FACTS)
    assert not await matches(negated(HOLDS[name]), FACTS)


@pytest.mark.parametrize("name", sorted(set(HOLDS) - {"domains", "rcpt to", "regex", "mail from"}))
async def test_each_criterion_of_the_session_fails_for_somebody_else(name: str) -> None:
    assert not await matches(HOLDS[name], Facts("198.51.100.1", "a.b.c.example", "x.example", "tagged", "", tls=False))


@given(st.sampled_from(sorted(HOLDS)), st.sampled_from(sorted(HOLDS)), st.booleans(), st.booleans())
async def test_all_criteria_must_hold(one: str, two: str, turn_one: bool, turn_two: bool) -> None:
    first = negated(HOLDS[one]) if turn_one else HOLDS[one]
    second = negated(HOLDS[two]) if turn_two else HOLDS[two]
    names = [name for name in first.__struct_fields__ if name not in {"from_", "for_"}]
    both = Match(
        from_=first.from_ if not first.from_.any else second.from_,
        for_=first.for_ if not first.for_.any else second.for_,
        **{name: getattr(first, name) or getattr(second, name) for name in names},
    )
    # Where both are about the same thing, only the first is in the rule.
    same_end = not (first.from_.any or second.from_.any) or not (first.for_.any or second.for_.any)
    overridden = same_end or any(getattr(first, name) and getattr(second, name) for name in names)
    assert await matches(both, FACTS) is (not turn_one and (overridden or not turn_two))


@pytest.mark.parametrize("criterion", [From(rdns=Pattern(values=("x.example",), negate=True))])
@pytest.mark.parametrize("name", ["", "<unknown>"])
async def test_a_client_without_a_name_never_matches_rdns_not_even_negated(criterion: From, name: str) -> None:
    assert not await matches(Match(from_=criterion, for_=ANYWHERE), replace(STRANGER, client_name=name))


async def test_all_users_but_one_never_means_the_unauthenticated() -> None:
    but_bob = Pattern(values=("bob",), negate=True)
    for match in (
        Match(from_=From(users=but_bob), for_=ANYWHERE),
        Match(from_=ANYONE, for_=ANYWHERE, auth_users=but_bob),
    ):
        assert not await matches(match, STRANGER)
        assert not await matches(match, AUTHENTICATED)
        assert await matches(match, replace(AUTHENTICATED, user="alice"))


@pytest.mark.parametrize(
    ("facts", "local"),
    [
        (OURSELVES, True),
        (Facts("127.0.0.1"), True),
        (Facts("::1"), True),
        (Facts("::ffff:127.0.0.1"), True),
        (Facts("192.0.2.1", local=True), True),
        (Facts("192.0.2.1"), False),
        (Facts("127.evil.example"), False),
        (Facts("::1:2"), False),
    ],
)
async def test_local_is_loopback_the_unix_socket_and_ourselves(facts: Facts, local: bool) -> None:
    assert await matches(Match(from_=From(local=Flag()), for_=ANYWHERE), facts) is local


async def test_networks_come_from_a_table_too() -> None:
    match = Match(from_=From(networks=Pattern(table="nets")), for_=ANYWHERE)
    assert await matches(match, Facts("2001:db8::1"))
    assert await matches(match, Facts("::ffff:192.0.2.1"))
    assert not await matches(match, Facts("198.51.100.1"))
    assert not await matches(match, OURSELVES)


@pytest.mark.parametrize(
    ("entry", "sender", "found"),
    [("@", "", True), ("@", "a@b.example", True), ("@b.example", "", False), ("a", "a+x@b.example", True)],
)
async def test_the_null_reverse_path_is_in_the_catch_all_only(entry: str, sender: str, found: bool) -> None:
    assert await matches(Match(from_=ANYONE, for_=ANYWHERE, mail_from=of(entry)), sender=sender) is found


async def test_the_first_match_wins() -> None:
    no_joe = Rule(
        name="no-joe",
        match=Match(from_=ANYONE, for_=ANYWHERE, mail_from=of("joe@client.example")),
        outcome="Reject",
        reject=Reject(code=451, status="4.7.1", text="Not now"),
    )
    first, last = config(domain(), rules=(no_joe, FOR_HOSTED)), config(domain(), rules=(FOR_HOSTED, no_joe))
    assert refusal(await ask(first, "alice@example.test")) == "451 4.7.1 Not now: <alice@example.test>"
    assert isinstance(await ask(last, "alice@example.test"), Accepted)
    assert isinstance(await ask(first, "alice@example.test", sender=""), Accepted)


OPEN_RELAY = [
    "victim@elsewhere.example",
    '"victim@elsewhere.example"@elsewhere.example',
    "victim%elsewhere.example@remote.example",
    "victim@[192.0.2.1]",
    "victim@sub.example.test",
    "postmaster@localhost",
]


@pytest.mark.parametrize("sender", ["", "alice@example.test", "joe@client.example"])
@pytest.mark.parametrize("recipient", OPEN_RELAY)
async def test_a_stranger_can_not_relay(recipient: str, sender: str) -> None:
    answer = await ask(config(domain()), recipient, sender=sender)
    assert isinstance(answer, Refused)
    assert answer.reason == "relay_denied"
    assert str(answer.reply).startswith("550 5.7.1 Invalid recipient: <")


@pytest.mark.parametrize(
    "local_part", ["victim%elsewhere.example", "elsewhere.example!victim", '"victim@elsewhere.example"']
)
async def test_routing_in_a_local_part_is_never_followed(local_part: str) -> None:
    answer = await ask(config(domain()), f"{local_part}@example.test")
    assert refusal(answer).startswith("550 5.1.1 Invalid recipient")


async def test_our_own_mail_goes_out() -> None:
    answer = await ask(config(domain()), "x@elsewhere.example", facts=OURSELVES)
    assert isinstance(answer, Accepted)
    assert answer.rule == "out"


async def test_a_table_that_fails_stops_at_its_rule() -> None:
    asks = Rule(name="asks", match=Match(from_=ANYONE, for_=ANYWHERE, rcpt_to=Pattern(table="t")), outcome="Reject")
    tables = {"t": BrokenTable()}
    refused = await ask(config(domain(), rules=(asks, OUT)), "alice@example.test", tables=tables)
    assert refusal(refused) == "451 4.3.0 Temporary failure: <alice@example.test>"
    not_reached = await ask(config(domain(), rules=(FOR_HOSTED, asks)), "alice@example.test", tables=tables)
    assert isinstance(not_reached, Accepted)


class Members:
    """A back end elsewhere that knows one address."""

    async def check(self, service: str, key: str) -> bool:
        """Whether it is that one."""
        return key == "joe@client.example"

    async def lookup(self, service: str, key: str) -> str | None:
        """Nothing has a value."""
        return None

    async def fetch(self, service: str) -> list[str]:
        """Nothing to choose from."""
        return []


@pytest.mark.parametrize("negate", [False, True])
async def test_a_table_elsewhere_is_awaited(negate: bool) -> None:
    pattern = Pattern(values=("jane@client.example",), table="t", negate=negate)
    rules = RuleSet(
        (Rule(name="r", match=Match(from_=ANYONE, for_=ANYWHERE, mail_from=pattern), outcome="Reject"),),
        Surroundings({"t": Members()}, frozenset(), "mx.example.test"),
    )
    for sender, known in (("joe", True), ("jane", True), ("jim", False)):
        reverse_path = parse_address(f"{sender}@client.example")
        found = await rules.first_match(Question(STRANGER, reverse_path, reverse_path))
        assert (found is not None) is (known is not negate)


@pytest.mark.parametrize(
    ("match", "reason"),
    [
        (Match(from_=From(), for_=ANYWHERE), "from: exactly one"),
        (Match(from_=ANYONE, for_=For(any=True, hosted=Flag())), "for: exactly one"),
        (Match(from_=ANYONE, for_=ANYWHERE, tag=Pattern(table="gone")), "no table 'gone'"),
        (Match(from_=ANYONE, for_=ANYWHERE, tag=Pattern()), "values or a table"),
        (Match(from_=From(networks=of("192.0.2.0/33")), for_=ANYWHERE), "192.0.2.0/33"),
    ],
)
async def test_a_rule_that_makes_no_sense_is_named(match: Match, reason: str) -> None:
    with pytest.raises(ValueError, match=f"rule 'r': .*{reason}"):
        await matches(match)
