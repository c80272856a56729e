"""A dispatcher with a queue in memory, a clock that is set by hand, and a transport that does what a test says."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence

from paquebot_mta.config.actions import Action, Lmtp, Relay
from paquebot_mta.deliver.transport import Receipt, Task, Transport
from paquebot_mta.dispatch.courier import Courier
from paquebot_mta.dispatch.dispatcher import SHORTEST_REST_SECONDS, Dispatcher
from paquebot_mta.dispatch.groups import Group
from paquebot_mta.dispatch.settle import Notification, Settler
from paquebot_mta.mail.envelope import Envelope, Message, Result
from paquebot_mta.mail.ids import Evpid
from paquebot_mta.mail.outcome import Deferred, Delivered, Failed, Outcome
from paquebot_mta.mail.reply import Reply
from paquebot_mta.route.hops import NextHop, Route
from paquebot_mta.schedule.due import Schedule
from paquebot_mta.spool.memory import MemorySpool
from paquebot_mta.spool.options import fault
from paquebot_mta.telemetry.events import DeliveryAttempt, Event, Notice, QueueEvent
from tests.mta.dispatch.samples import CREATED, config

DELIVERED = Delivered(Reply(250, "Ok", "2.0.0"))
LATER = Deferred(Reply(451, "later", "4.7.1"))
NEVER = Failed(Reply(550, "no", "5.1.1"))
Answer = Callable[[Task], Awaitable[dict[Evpid, Outcome]]]


def always(outcome: Outcome) -> Answer:
    async def answer(task: Task) -> dict[Evpid, Outcome]:
        return {envelope.evpid: outcome for envelope in task.envelopes}

    return answer


class FlakySpool(MemorySpool):
    """A queue whose volume can be taken away; it keeps the order of what was asked of it."""

    def __init__(self) -> None:
        super().__init__(random.Random(1).getrandbits)
        self.broken = 0
        self.story: list[str] = []
        self.intended: list[Evpid] = []
        self.trouble_now = ""

    def trouble(self) -> str:
        return self.trouble_now

    async def update(self, results: Sequence[Result]) -> None:
        if self.broken:
            self.broken -= 1
            raise fault("the disk is gone")
        self.story += [f"stored {result.final}" for result in results]
        await super().update(results)

    def intend(self, evpids: Sequence[Evpid]) -> None:
        self.intended += evpids


class Scene:
    """Everything around one dispatcher."""

    def __init__(self, answer: Answer) -> None:
        self.now = CREATED
        self.answer = answer
        self.tried = ""
        self.reached = False
        self.spool = FlakySpool()
        self.events: list[Event] = []
        self.tasks: list[Task] = []
        self.told: list[Notification] = []
        self.config = config()
        settler = Settler(
            spool=self.spool, notifier=self, config=lambda: self.config, emit=self.events.append, clock=self.clock
        )
        self.dispatcher = Dispatcher(
            spool=self.spool,
            courier=Courier(routes=self, relays=self, local=self.local),
            settler=settler,
            schedule=Schedule(),
            config=lambda: self.config,
            emit=self.events.append,
            clock=self.clock,
        )

    def clock(self) -> float:
        return self.now

    def local(self, action: Action) -> Transport:
        return self

    def hurry(self) -> None:
        self.spool.story.append("hurried")

    async def notify(self, message: Message, notifications: Sequence[Notification]) -> None:
        self.spool.story += [f"told {each.kind}" for each in notifications]
        self.told += notifications

    async def route(self, action: Relay | Lmtp, domain: str) -> Route | Deferred | Failed:
        if domain == "gone.test":
            return NEVER
        return Route(domain, (NextHop("mx", "192.0.2.1", 25),))

    async def relay(self, route: Route, group: Group, task: Task) -> Receipt:
        return await self.deliver(task)

    async def deliver(self, task: Task) -> Receipt:
        self.tasks.append(task)
        return Receipt(await self.answer(task), self.tried, reached=self.reached)

    async def queue(self, *makers: Callable[[str], Envelope], client_address: str = "local", user: str = "") -> Message:
        """Make a message durable, and hand it over as accept does."""
        draft = self.spool.create()
        draft.write(b"Subject: x\r\n\r\nbody\r\n")
        envelopes = tuple(maker(draft.msgid) for maker in makers)
        message = Message(
            draft.msgid, "joe@client.test", self.now, draft.size, envelopes, client_address=client_address, user=user
        )
        await draft.commit(message)
        self.dispatcher.enqueue(message)
        return message

    async def settle(self) -> None:
        """Let everything that can happen at this time happen."""
        for _ in range(100):
            for _ in range(50):
                await asyncio.sleep(0)
            if (due_at := self.dispatcher.schedule.next_due()) is None or due_at > self.now:
                return
            await asyncio.sleep(2 * SHORTEST_REST_SECONDS)  # the dispatcher gives way before it starts more

    async def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds
        self.dispatcher.wake()
        await self.settle()

    def results(self) -> list[str]:
        return [type(each.outcome).__name__ for each in self.events if isinstance(each, DeliveryAttempt)]

    def changes(self) -> list[str]:
        return [each.change for each in self.events if isinstance(each, QueueEvent)]

    def notices(self) -> list[str]:
        return [each.event for each in self.events if isinstance(each, Notice)]
