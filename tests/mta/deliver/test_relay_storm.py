"""Many tasks, many routes, next hops at their worst: each task has its outcomes, no connection is left behind."""

import asyncio
import random

import pytest

from paquebot_mta.config.service import OutboundDelays, OutboundLimits, Penalties
from paquebot_mta.mail.outcome import Deferred, Delivered, Failed
from tests.mta.deliver.relay_rig import Rig, impatient, make_task, relay_rig, route_to
from tests.support.fake_mx import FakeMx
from tests.support.fake_mx_script import DROP, EXTENSIONS, RESET, STALL, Answer, Script, Step, Then
from tests.support.processes import free_port

PHASES = ("CONNECT", "BANNER", "EHLO", "MAIL", "RCPT", "DATA", "BODY", "DOT", "RSET", "QUIT")
GOOD = {"BANNER": "220 mx.test", "EHLO": "250-mx.test\r\n250 PIPELINING", "DATA": "354 go", "QUIT": "221 bye"}
LIMITS = OutboundLimits(keepalive_seconds=0, connections_per_host=3, messages_per_session=5)
HASTY = impatient(banner=0.03, command=0.03, mail=0.03, recipient=0.03, data=0.03, block=0.03, final_dot=0.03)

AT_ONCE = Penalties(base_seconds=0, defer_seconds=0)
"""So many faults would let all routes rest at once."""


def nasty(seed: int) -> Script:
    """Make a server that mostly works, and now and then does something else in each phase."""
    dice = random.Random(seed)
    bad: list[Step] = [
        DROP,
        RESET,
        STALL,
        "450 4.0.0 later",
        "550 5.0.0 no",
        Answer("421 4.3.2 bye", Then.CLOSE),
        "junk",
    ]

    def steps(phase: str) -> list[Step]:
        good = Answer(None) if phase in {"CONNECT", "BODY"} else GOOD.get(phase, "250 2.0.0 ok")
        return [dice.choice(bad) if dice.random() < 0.1 else good for _ in range(40)] + [good]

    extensions = EXTENSIONS if dice.random() < 0.5 else ()
    return Script({phase: steps(phase) for phase in PHASES}, extensions=extensions)


async def storm(rig: Rig, servers: list[FakeMx]) -> None:
    routes = [route_to(a, b, free_port(), key=f"{i} {j}") for i, a in enumerate(servers) for j, b in enumerate(servers)]
    tasks = [make_task(*(f"r{number}@mx.test" for number in range(1 + index % 3))) for index in range(150)]
    receipts = await asyncio.gather(*(rig.deliver(routes[i % len(routes)], task) for i, task in enumerate(tasks)))
    for task, receipt in zip(tasks, receipts, strict=True):
        assert set(receipt.outcomes) == {each.evpid for each in task.envelopes}
        assert all(isinstance(each, Delivered | Deferred | Failed) for each in receipt.outcomes.values())
    delivered = sum(any(isinstance(each, Delivered) for each in receipt.outcomes.values()) for receipt in receipts)
    assert 0 < delivered <= sum(len(server.transactions) for server in servers)


@pytest.mark.parametrize("seed", range(4))
async def test_every_task_has_its_outcomes(seed: int) -> None:
    async with (
        asyncio.timeout(20),
        FakeMx(nasty(seed)) as one,
        FakeMx(nasty(seed + 100)) as two,
        relay_rig(limits=LIMITS, timeouts=HASTY, delays=OutboundDelays(reconnect=0), penalties=AT_ONCE) as rig,
    ):
        await storm(rig, [one, two])
        await rig.pool.close()
        assert rig.pool.queues() == []
    assert len(rig.reports("link-connect")) == len(rig.reports("link-disconnect"))
    assert len(rig.reports("tx-begin")) == len(rig.reports("tx-reset"))
    assert len(rig.reports("tx-begin")) == len(rig.reports("tx-commit", "tx-rollback"))
