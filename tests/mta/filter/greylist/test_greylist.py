"""Greylisting: who waits, how long, and who is known."""

import asyncio

import pytest

from paquebot_mta.config.filters import Greylist
from paquebot_mta.config.tables import Inline
from paquebot_mta.filter.contract import Facts, FilterError
from paquebot_mta.filter.decisions import PROCEED, Decision, Disconnect, Reject
from paquebot_mta.filter.greylist.greylist import ENOUGH, MAX_TRIES, GreylistFilter
from paquebot_mta.filter.greylist.store import MemoryStore, Store, StoreError
from paquebot_mta.mail.ids import Evpid
from paquebot_mta.mail.outcome import Deferred, Delivered, Outcome
from paquebot_mta.mail.reply import Reply
from paquebot_mta.table.static import StaticTable
from paquebot_mta.telemetry.events import DeliveryAttempt, Sender

from ..asked import SESSION, World, facts

ZONES = {"big.test": {"TXT": ["v=spf1 ip4:192.0.2.0/24 ip4:198.51.100.0/24 -all"]}}
BOB = "bob@example.test"


class Grey:
    """A filter, and strangers who come to it."""

    def __init__(self, store: Store | None = None, **settings: object) -> None:
        self.world = World(ZONES, {"friends": StaticTable(Inline(keys=("203.0.113.0/24",)), ("netaddr",))})
        config = Greylist(**settings)  # type: ignore[arg-type]
        self.filter = GreylistFilter("grey", config, self.world.tools, store or MemoryStore())

    async def come(self, address: str, reverse_path: str = "joe@else.test", recipient: str = BOB) -> Decision:
        return await self.ask(facts(address, reverse_path=reverse_path), recipient)

    async def ask(self, known: Facts, recipient: str = BOB) -> Decision:
        return await self.filter.decide("rcpt-to", known, recipient)

    async def deliver(
        self, recipient: str, outcome: Outcome, reverse_path: str = BOB, sender: Sender = "user", hosted: bool = False
    ) -> None:
        event = DeliveryAttempt(
            evpid=Evpid("508f4cf100000001"), session="", reverse_path=reverse_path, recipient=recipient,
            destination="", action="out", transport="relay", outcome=outcome,
            sender=sender, hosted=hosted,
        )  # fmt: skip
        self.world.bus.emit(event)
        await asyncio.sleep(0.01)


async def test_a_stranger_is_told_when_to_come_back() -> None:
    decision = await Grey().come("192.0.2.1")
    assert decision == Reject(Reply(451, "Greylisted, please come back in 300 seconds", "4.7.1"))


async def test_who_comes_too_early_is_told_what_is_left() -> None:
    grey = Grey()
    await grey.come("192.0.2.1")
    grey.world.now += 100
    decision = await grey.come("192.0.2.1")
    assert isinstance(decision, Reject)
    assert "200 seconds" in decision.reply.text


async def test_who_comes_again_in_time_is_known_for_everybody_then() -> None:
    grey = Grey()
    await grey.come("192.0.2.1")
    grey.world.now += 300
    assert await grey.come("192.0.2.1") == PROCEED
    assert await grey.come("192.0.2.1", "else@else.test", "alice@example.test") == PROCEED


class Counting(MemoryStore):
    """Counts how often it is asked."""

    asked = 0

    async def find(self, key: str, now_seconds: int) -> int | None:
        self.asked += 1
        return await super().find(key, now_seconds)


async def test_the_store_is_asked_about_a_known_client_once_in_ten_minutes() -> None:
    store = Counting()
    grey = Grey(store)
    await grey.come("192.0.2.1")
    grey.world.now += 300
    await grey.come("192.0.2.1")
    counts = []
    for later in (1, 1, 597, 1, 1):
        grey.world.now += later
        store.asked = 0
        assert await grey.come("192.0.2.1") == PROCEED
        counts.append(store.asked)
    assert counts == [1, 0, 0, 0, 1]


class Kept(MemoryStore):
    """Knows what it was told to remember."""

    def __init__(self) -> None:
        super().__init__()
        self.keys: list[str] = []

    async def renew(self, key: str, now_seconds: int, keep_seconds: int) -> None:
        self.keys.append(key)
        await super().renew(key, now_seconds, keep_seconds)


async def test_a_session_that_greylists_more_than_a_message_has_recipients_is_ended_and_remembered_no_further() -> None:
    grey = Grey(store := Kept())
    found = [await grey.come("192.0.2.1", recipient=f"user{number}@example.test") for number in range(MAX_TRIES + 5)]
    assert {type(each) for each in found[:MAX_TRIES]} == {Reject}
    assert found[MAX_TRIES:] == [Disconnect(ENOUGH)] * 5
    assert len(store.keys) == MAX_TRIES
    grey.filter.forget(SESSION)
    assert isinstance(await grey.come("192.0.2.1", recipient="next@example.test"), Reject)


async def test_who_tried_enough_in_a_session_is_let_in_when_its_time_has_come() -> None:
    grey = Grey()
    for number in range(MAX_TRIES):
        await grey.come("192.0.2.1", recipient=f"user{number}@example.test")
    grey.filter.forget(SESSION)
    grey.world.now += 300
    found = [await grey.come("192.0.2.1", recipient=f"user{number}@example.test") for number in range(2 * MAX_TRIES)]
    assert found == [PROCEED] * 2 * MAX_TRIES


async def test_a_try_takes_the_same_room_whatever_a_stranger_says() -> None:
    grey = Grey(store := Kept())
    await grey.come("192.0.2.1", "a@b.test", "c@example.test")
    await grey.come("192.0.2.1", f"{'s' * 64}@{'d' * 60}.{'d' * 60}.test", f"{'r' * 64}@example.test")
    assert len(store.keys) == 2
    assert len({len(key) for key in store.keys}) == 1


async def test_who_comes_too_late_is_a_stranger_again() -> None:
    grey = Grey(retry_seconds=3600)
    await grey.come("192.0.2.1")
    grey.world.now += 3601
    assert isinstance(await grey.come("192.0.2.1"), Reject)


async def test_who_does_not_come_for_long_is_a_stranger_again_and_who_does_is_not() -> None:
    grey = Grey(pass_seconds=10_000, retry_seconds=3_600)
    await grey.come("192.0.2.1")
    grey.world.now += 300
    await grey.come("192.0.2.1")
    for _ in range(5):
        grey.world.now += 9_000
        assert await grey.come("192.0.2.1") == PROCEED
    grey.world.now += 10_001
    assert isinstance(await grey.come("192.0.2.1"), Reject)


@pytest.mark.parametrize(
    ("first", "second"),
    [("192.0.2.1", "192.0.2.200"), ("2001:db8::1", "2001:db8::ffff"), ("192.0.2.1", "::ffff:192.0.2.9")],
)
async def test_a_client_is_known_by_its_network(first: str, second: str) -> None:
    grey = Grey()
    await grey.come(first)
    grey.world.now += 300
    assert await grey.come(second) == PROCEED


async def test_other_networks_do_not_count() -> None:
    grey = Grey()
    await grey.come("192.0.2.1")
    grey.world.now += 300
    assert isinstance(await grey.come("198.51.100.1"), Reject)


async def test_a_client_that_passes_spf_is_known_by_its_domain() -> None:
    grey = Grey()
    await grey.come("192.0.2.1", "joe@big.test")
    grey.world.now += 300
    assert await grey.come("198.51.100.7", "joe@BIG.test") == PROCEED
    assert isinstance(await grey.come("203.0.113.9", "joe@big.test"), Reject)


async def test_spf_may_be_left_out() -> None:
    grey = Grey(spf=False)
    await grey.come("192.0.2.1", "joe@big.test")
    grey.world.now += 300
    assert isinstance(await grey.come("198.51.100.7", "joe@big.test"), Reject)
    assert grey.world.resolver.asked == []


@pytest.mark.parametrize("known", [facts("local"), facts("192.0.2.1", user="joe")])
async def test_our_users_and_local_programs_never_wait(known: Facts) -> None:
    assert await Grey().ask(known) == PROCEED


async def test_clients_of_the_table_never_wait() -> None:
    assert await Grey(allow="friends").come("203.0.113.7") == PROCEED
    assert isinstance(await Grey().come("203.0.113.7"), Reject)


async def test_whom_our_users_write_to_is_no_stranger() -> None:
    grey = Grey()
    await grey.filter.start()
    await grey.deliver("Friend@else.test", Delivered(Reply(250, "ok")))
    assert await grey.come("192.0.2.1", "friend@else.test") == PROCEED
    assert isinstance(await grey.come("192.0.2.1", "other@else.test"), Reject)
    await grey.filter.close()
    await grey.deliver("late@else.test", Delivered(Reply(250, "ok")))
    assert isinstance(await grey.come("192.0.2.1", "late@else.test"), Reject)


@pytest.mark.parametrize(
    ("sender", "hosted", "known"),
    [
        ("user", False, True),
        ("local", False, True),
        ("stranger", False, False),
        ("stranger", True, False),
        ("user", True, False),
        ("local", True, False),
    ],
)
async def test_only_whom_our_users_and_programs_write_to_elsewhere_is_known(
    sender: Sender, hosted: bool, known: bool
) -> None:
    grey = Grey()
    await grey.filter.start()
    await grey.deliver("alice@big.test", Delivered(Reply(250, "ok")), sender=sender, hosted=hosted)
    forged, passing = await grey.come("203.0.113.7", "alice@big.test"), await grey.come("192.0.2.1", "x@big.test")
    assert isinstance(forged, Reject), "its SPF says fail"
    assert (passing == PROCEED) == known
    await grey.filter.close()


async def test_the_whole_domain_of_a_correspondent_is_known_to_those_who_pass_its_spf() -> None:
    grey = Grey()
    await grey.filter.start()
    await grey.deliver("friend@big.test", Delivered(Reply(250, "ok")))
    assert await grey.come("192.0.2.1", "other@big.test") == PROCEED
    assert isinstance(await grey.come("203.0.113.7", "friend@big.test"), Reject), "its SPF says fail"


@pytest.mark.parametrize(("outcome", "sender"), [(Deferred(Reply(451, "no")), BOB), (Delivered(Reply(250, "ok")), "")])
async def test_neither_attempts_nor_bounces_make_correspondents(outcome: Outcome, sender: str) -> None:
    grey = Grey()
    await grey.filter.start()
    await grey.deliver("friend@else.test", outcome, sender)
    assert isinstance(await grey.come("192.0.2.1", "friend@else.test"), Reject)


async def test_a_store_that_fails_fails_the_filter() -> None:
    class Broken(MemoryStore):
        async def find(self, key: str, now_seconds: int) -> int | None:
            raise StoreError("disk full")

    with pytest.raises(FilterError, match="disk full") as caught:
        await Grey(Broken()).come("192.0.2.1")
    assert caught.value.reason == "table"
