"""What a recipient of a hosted domain becomes."""

import pytest

from paquebot_mta.config.domains import Domain
from paquebot_mta.config.rules import Flag, For, From, Match, Rule
from paquebot_mta.config.tables import Inline
from paquebot_mta.expand.actions import resolve_action
from paquebot_mta.expand.expander import RuleExpander
from paquebot_mta.expand.results import Accepted, Refused, Target
from paquebot_mta.table.lookup import TableError
from paquebot_mta.table.static import StaticTable
from tests.mta.expand.helpers import ACTIONS, FOR_HOSTED, OUT, ask, config, destinations, domain, refusal


async def test_a_mailbox_is_delivered_by_its_domain() -> None:
    answer = await ask(config(domain()), "Alice@example.test")
    assert answer == Accepted((Target("Alice@example.test", "domain:example.test", "alice"),), "in")


async def test_a_sub_address_becomes_the_extension() -> None:
    answer = await ask(config(domain()), "alice+news@example.test")
    assert answer == Accepted((Target("alice+news@example.test", "domain:example.test", "alice", "news"),), "in")


async def test_the_delimiter_works_for_aliases_and_can_be_another() -> None:
    hosted = domain(aliases={"team": ("alice",)}, delimiter="-")
    answer = await ask(config(hosted), "team-urgent@example.test")
    assert answer == Accepted((Target("alice-urgent@example.test", "domain:example.test", "alice", "urgent"),), "in")


async def test_no_delimiter_means_no_sub_addresses() -> None:
    assert refusal(await ask(config(domain(delimiter="")), "alice+news@example.test")).startswith("550 5.1.1")


async def test_an_unknown_user_is_550_with_the_address() -> None:
    answer = await ask(config(domain()), "nobody@example.test")
    assert refusal(answer) == "550 5.1.1 Invalid recipient: <nobody@example.test>"
    assert isinstance(answer, Refused)
    assert answer.reason == "unknown_user"


async def test_an_alias_with_a_tag_goes_before_the_one_without_and_both_before_the_mailbox() -> None:
    hosted = domain(aliases={"alice+news": ("bob",), "alice": ("x@elsewhere.example",)})
    assert destinations(await ask(config(hosted), "alice+news@example.test")) == ["bob@example.test"]
    assert destinations(await ask(config(hosted), "alice+other@example.test")) == ["x@elsewhere.example"]


async def test_the_catch_all_comes_last() -> None:
    hosted = domain(aliases={"team": ("alice",)}, catch_all=("bob",))
    assert destinations(await ask(config(hosted), "team@example.test")) == ["alice@example.test"]
    assert destinations(await ask(config(hosted), "alice@example.test")) == ["alice@example.test"]
    assert destinations(await ask(config(hosted), "any@example.test")) == ["bob@example.test"]


async def test_a_list_gives_each_target_once() -> None:
    hosted = domain(aliases={"team": ("alice", "bob", "staff"), "staff": ("ALICE@example.test", "bob")})
    assert destinations(await ask(config(hosted), "team@example.test")) == ["alice@example.test", "bob@example.test"]


async def test_an_alias_may_keep_a_copy_for_itself() -> None:
    hosted = domain(aliases={"alice": ("alice", "bob")})
    assert destinations(await ask(config(hosted), "alice@example.test")) == ["alice@example.test", "bob@example.test"]


async def test_a_loop_without_a_mailbox_is_refused() -> None:
    hosted = domain(aliases={"a": ("b",), "b": ("c@example.test",), "c": ("a",)})
    answer = await ask(config(hosted), "a@example.test")
    assert refusal(answer) == "524 5.2.4 Mailing list expansion problem: <a@example.test>"


async def test_a_loop_through_another_domain_ends() -> None:
    one = domain(aliases={"a": ("a@other.test", "alice")})
    other = domain("other.test", aliases={"a": ("a@example.test",)})
    assert destinations(await ask(config(one, other), "a@example.test")) == ["alice@example.test"]


@pytest.mark.parametrize(("length", "good"), [(10, True), (11, False)])
async def test_aliases_are_followed_ten_deep(length: int, good: bool) -> None:
    aliases: dict[str, tuple[str, ...]] = {f"a{n}": (f"a{n + 1}",) for n in range(length)}
    hosted = domain(aliases={**aliases, f"a{length - 1}": ("alice",)})
    answer = await ask(config(hosted), "a0@example.test")
    assert isinstance(answer, Accepted) is good


@pytest.mark.parametrize(("size", "good"), [(1_000, True), (1_001, False), (100_000, False)])
async def test_one_recipient_becomes_at_most_a_thousand_targets(size: int, good: bool) -> None:
    hosted = domain(aliases={"all": tuple(f"u{number}" for number in range(size))}, accept_any_mailbox=True)
    assert isinstance(await ask(config(hosted), "all@example.test"), Accepted) is good


async def test_ways_to_one_target_do_not_multiply() -> None:
    aliases = {f"a{n}": tuple(f"a{n + 1}+{branch}" for branch in range(10)) for n in range(8)}
    answer = await ask(config(domain(aliases=aliases, accept_any_mailbox=True)), "a0@example.test")
    assert destinations(answer) == [f"a8+{branch}@example.test" for branch in range(10)]


async def test_a_target_that_does_not_exist_refuses_the_whole_list() -> None:
    answer = await ask(config(domain(aliases={"team": ("alice", "gone")}, catch_all=("bob",))), "team@example.test")
    assert refusal(answer).startswith("524 5.2.4 Mailing list expansion problem")


async def test_an_address_of_another_hosted_domain_is_expanded_there() -> None:
    other = domain("other.test", aliases={"carol": ("bob",)})
    answer = await ask(config(domain(aliases={"c": ("carol@other.test",)}), other), "c@example.test")
    assert answer == Accepted((Target("bob@other.test", "domain:other.test", "bob"),), "in")


async def test_an_address_elsewhere_is_relayed_as_our_own_mail() -> None:
    answer = await ask(config(domain(aliases={"out": ("x@elsewhere.example",)})), "out@example.test")
    assert answer == Accepted((Target("x@elsewhere.example", "relay", ttl_seconds=3_600),), "in")


async def test_an_address_elsewhere_that_no_rule_relays_is_a_problem_of_the_list() -> None:
    hosted = domain(aliases={"out": ("x@elsewhere.example",)})
    answer = await ask(config(hosted, rules=(FOR_HOSTED,)), "out@example.test")
    assert refusal(answer).startswith("524 5.2.4")


@pytest.mark.parametrize(
    ("target", "reply"),
    [
        (
            "error:550 you're not allowed to mail foobar",
            "550 5.2.1 you're not allowed to mail foobar: <foobar@example.test>",
        ),
        ("error:450 woops, temporary failure", "450 4.2.1 woops, temporary failure: <foobar@example.test>"),
        (":error:550 moved, see our page", "550 5.2.1 moved, see our page: <foobar@example.test>"),
        ("error:550 5.1.6 moved", "550 5.1.6 moved: <foobar@example.test>"),
    ],
)
async def test_an_error_target_answers_rcpt_and_runs_to_its_end(target: str, reply: str) -> None:
    assert refusal(await ask(config(domain(aliases={"foobar": (target,)})), "foobar@example.test")) == reply
    table = StaticTable(Inline(entries={"foobar": target}), ("alias",))
    hosted = domain(alias_table="aliases")
    assert refusal(await ask(config(hosted), "foobar@example.test", tables={"aliases": table})) == reply


async def test_any_mailbox_honours_aliases_first() -> None:
    hosted = domain(mailboxes=(), accept_any_mailbox=True, aliases={"team": ("alice",)})
    assert destinations(await ask(config(hosted), "team@example.test")) == ["alice@example.test"]
    answer = await ask(config(hosted), "whoever+x@example.test")
    assert answer == Accepted((Target("whoever+x@example.test", "domain:example.test", "whoever", "x"),), "in")


ORDER = ["u+tag@example.test", "u@example.test", "u+tag", "u", "@example.test", "@"]


@pytest.mark.parametrize("present", range(len(ORDER)))
async def test_an_alias_table_is_asked_in_the_order_of_virtual_users(present: int) -> None:
    entries = {key: f"t{n}@elsewhere.example" for n, key in enumerate(ORDER) if n >= present}
    tables = {"virtual": StaticTable(Inline(entries=entries), ("alias",))}
    hosted = domain(mailboxes=(), alias_table="virtual")
    answer = await ask(config(hosted), "U+Tag@example.test", tables=tables)
    assert destinations(answer) == [f"t{present}@elsewhere.example"]


async def test_a_quoted_local_part_never_finds_the_alias_of_another_domain() -> None:
    tables = {"virtual": StaticTable(Inline(entries={"bob@other.test": "x@elsewhere.example"}), ("alias",))}
    answer = await ask(config(domain(alias_table="virtual")), '"bob@other.test"@example.test', tables=tables)
    assert refusal(answer).startswith("550 5.1.1")


async def test_a_table_of_mailboxes_adds_to_the_list() -> None:
    tables = {"users": StaticTable(Inline(entries={"carol@example.test": "1:1:/", "dan": "1:1:/"}), ("userinfo",))}
    hosted = domain(mailbox_table="users")
    for name in ("alice", "carol", "dan"):
        answer = await ask(config(hosted), f"{name}@example.test", tables=tables)
        assert destinations(answer) == [f"{name}@example.test"]
    assert refusal(await ask(config(hosted), "eve@example.test", tables=tables)).startswith("550 5.1.1")


async def test_a_rule_for_hosted_domains_with_an_action_replaces_their_delivery() -> None:
    rule = Rule(
        name="all-lmtp",
        match=Match(from_=From(any=True), for_=For(hosted=Flag())),
        outcome="Action",
        action="lmtp",
    )
    answer = await ask(config(domain(aliases={"team": ("alice",)}), rules=(rule,)), "team@example.test")
    assert answer == Accepted((Target("alice@example.test", "lmtp", "alice"),), "all-lmtp")


async def test_any_other_action_takes_the_recipient_as_it_is() -> None:
    rule = Rule(name="r", match=Match(from_=From(any=True), for_=For(any=True)), outcome="Action", action="boxes")
    answer = await ask(config(rules=(rule,)), "Alice+News@elsewhere.example")
    assert answer == Accepted((Target("Alice+News@elsewhere.example", "boxes", "alice", "News"),), "r")


class BrokenTable:
    """A back end that is down."""

    async def check(self, service: str, key: str) -> bool:
        """Fail."""
        raise TableError("down")

    async def lookup(self, service: str, key: str) -> str | None:
        """Fail."""
        raise TableError("down")

    async def fetch(self, service: str) -> list[str]:
        """Fail."""
        raise TableError("down")


async def test_a_table_that_fails_is_a_temporary_failure_of_the_recipient() -> None:
    answer = await ask(config(domain(alias_table="t")), "alice@example.test", tables={"t": BrokenTable()})
    assert refusal(answer) == "451 4.3.0 Temporary failure: <alice@example.test>"


@pytest.mark.parametrize("target", ["/var/mail/x", "|/bin/sh", ":include:/etc/list", "error:250 fine", "a b", "x@", ""])
def test_a_target_that_is_not_allowed_is_found_when_the_configuration_is_loaded(target: str) -> None:
    with pytest.raises(ValueError, match=r"domain 'example.test': alias 'bad'"):
        RuleExpander(config(domain(aliases={"bad": (target,)})), {})
    tables = {"t": StaticTable(Inline(entries={"bad": target}), ("alias",))}
    with pytest.raises(ValueError, match=r"domain 'example.test': alias 'bad'"):
        RuleExpander(config(domain(alias_table="t")), tables)


def test_a_missing_table_is_named() -> None:
    with pytest.raises(ValueError, match=r"domain 'example.test': there is no table 'gone'"):
        RuleExpander(config(domain(mailbox_table="gone")), {})


def test_names_of_actions_stay_good_while_they_stand_for_something() -> None:
    current = config(Domain(name="example.test", delivery=ACTIONS["boxes"]), rules=(OUT,))
    assert resolve_action(current, "relay") is ACTIONS["relay"]
    assert resolve_action(current, "domain:example.test") is ACTIONS["boxes"]
    assert resolve_action(current, "domain:gone.test") is None
    assert resolve_action(current, "gone") is None
