"""What the configuration says of some destinations: connections, messages on one, and their rate."""

import asyncio

import pytest

from paquebot_mta.config.service import DestinationLimits, OutboundDelays
from paquebot_mta.deliver.pace import Pace
from paquebot_mta.mail.outcome import Delivered, Outcome
from tests.mta.deliver.relay_rig import Rig, make_task, relay_rig, route_to
from tests.support.fake_mx import FakeMx
from tests.support.fake_mx_script import Answer, Script

SLOW = Script({"DOT": Answer("250 2.0.0 taken", delay_seconds=0.02)})


async def many(rig: Rig, mx: FakeMx, count: int, domain: str = "mx.test") -> list[type[Outcome]]:
    route = route_to(mx)
    tasks = (make_task(f"r{number}@{domain}") for number in range(count))
    return [type(each) for each in await asyncio.gather(*(rig.outcome(route, task) for task in tasks))]


async def test_domains_of_one_pattern_share_its_connections() -> None:
    limits = DestinationLimits(domain="*.mx.test", connections=2)
    async with FakeMx(SLOW) as mx, relay_rig(destinations=(limits,)) as rig:
        work = (many(rig, mx, 8, domain) for domain in ("a.mx.test", "b.mx.test", "c.mx.test"))
        assert await asyncio.gather(*work) == [[Delivered] * 8] * 3
        assert mx.most_open == 2


async def test_other_domains_on_the_same_hosts_are_not_held_up() -> None:
    limits = DestinationLimits(domain="slow.test", messages_per_minute=1)
    async with FakeMx() as mx, relay_rig(destinations=(limits,)) as rig:
        slow = asyncio.create_task(many(rig, mx, 3, "slow.test"))
        async with asyncio.timeout(2):
            assert await many(rig, mx, 20, "quick.test") == [Delivered] * 20
        assert not slow.done()
        assert sum("slow.test" in each.addresses[0] for each in mx.transactions) == 1
        slow.cancel()


async def test_a_connection_to_a_destination_carries_its_own_number_of_messages() -> None:
    limits = DestinationLimits(domain="mx.test", messages_per_session=2, connections=1)
    async with FakeMx() as mx, relay_rig(destinations=(limits,)) as rig:
        assert await many(rig, mx, 5) == [Delivered] * 5
        assert [each.verbs().count("MAIL") for each in mx.sessions] == [2, 2, 1]


async def test_messages_start_at_the_destination_s_rate() -> None:
    limits = DestinationLimits(domain="mx.test", messages_per_minute=60 / 0.04)
    async with FakeMx() as mx, relay_rig(destinations=(limits,)) as rig:
        began = asyncio.get_running_loop().time()
        assert await many(rig, mx, 6) == [Delivered] * 6
        assert 0.2 <= asyncio.get_running_loop().time() - began < 2


async def test_connections_to_a_destination_keep_their_distance() -> None:
    limits = DestinationLimits(domain="mx.test", messages_per_session=1, connection_delay_seconds=0.05)
    async with FakeMx() as mx, relay_rig(destinations=(limits,), delays=OutboundDelays(reconnect=0)) as rig:
        began = asyncio.get_running_loop().time()
        assert await many(rig, mx, 3) == [Delivered] * 3
        assert asyncio.get_running_loop().time() - began >= 0.09


@pytest.mark.parametrize("axis", ["host", "source", "relay", "domain"])
async def test_connections_keep_their_distance_on_each_axis(axis: str) -> None:
    limits = DestinationLimits(domain="mx.test", messages_per_session=1)
    async with FakeMx() as mx, relay_rig(destinations=(limits,), delays=OutboundDelays(**{axis: 0.05})) as rig:
        began = asyncio.get_running_loop().time()
        assert await many(rig, mx, 3) == [Delivered] * 3
        assert asyncio.get_running_loop().time() - began >= 0.09


def test_a_pace_gives_even_starts_and_saves_none_up() -> None:
    pace = Pace(60)
    assert pace.wait_seconds(100.0) == 0
    pace.started(100.0)
    assert pace.wait_seconds(100.25) == 0.75
    pace.started(500.0)
    assert pace.wait_seconds(500.0) == 1.0
    pace.given_back()
    assert pace.wait_seconds(500.0) == 0
