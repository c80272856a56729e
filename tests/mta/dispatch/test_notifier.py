"""Rules of notifications on their way into the queue."""

import asyncio
import random
from email import message_from_bytes

import pytest

from paquebot_mta.dispatch import notifier as module
from paquebot_mta.dispatch.notifier import BounceNotifier
from paquebot_mta.dispatch.settle import Notification
from paquebot_mta.expand.results import Accepted, Facts, Refused, Target
from paquebot_mta.mail.address import Address
from paquebot_mta.mail.envelope import Message, Notify
from paquebot_mta.mail.reply import Reply
from paquebot_mta.spool.memory import MemorySpool
from paquebot_mta.spool.store import SpoolError
from paquebot_mta.telemetry.events import BounceEvent, Event, Notice
from tests.mta.dispatch.plant import NEVER
from tests.mta.dispatch.samples import CREATED, config, envelope, message


@pytest.fixture(autouse=True)
def _quick_grouping(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GROUPING_SECONDS", 0.02)


class Office:
    """A notifier with a queue in memory and an expander that answers as a test says."""

    def __init__(self) -> None:
        self.spool = MemorySpool(random.Random(2).getrandbits)
        self.answer: Accepted | Refused = Accepted((Target("joe@client.test", "out"),), "any")
        self.sent: list[Message] = []
        self.events: list[Event] = []
        self.notifier = BounceNotifier(
            spool=self.spool,
            expander=lambda: self,
            config=config,
            emit=self.events.append,
            clock=lambda: CREATED + 5,
            randbits=random.Random(3).getrandbits,
            on_accepted=self.sent.append,
        )

    async def expand(self, facts: Facts, reverse_path: Address | None, recipient: Address) -> Accepted | Refused:
        assert facts.local
        assert reverse_path is None
        return self.answer

    async def original(self, *addresses: str, reverse_path: str = "joe@client.test", **kind: str) -> Message:
        draft = self.spool.create()
        draft.write(b"Subject: how it began\r\n\r\nbody\r\n")
        envelopes = [envelope(number, address) for number, address in enumerate(addresses, 1)]
        sample = message(*envelopes, reverse_path=reverse_path, **kind)
        kept = Message(draft.msgid, sample.reverse_path, CREATED, draft.size, sample.envelopes, kind=sample.kind)
        await draft.commit(kept)
        return kept

    async def content(self, notification: Message) -> bytes:
        return b"".join([chunk async for chunk in self.spool.content(notification.msgid)])


def failures(original: Message, *, notify: Notify = Notify.UNSET) -> list[Notification]:
    told = [envelope(number, each.destination, notify=notify) for number, each in enumerate(original.envelopes, 1)]
    return [Notification(each, "failure", NEVER, "192.0.2.1 (mx.remote.test)") for each in told]


async def test_a_failure_is_told_with_the_null_reverse_path() -> None:
    office = Office()
    original = await office.original("bob@remote.test")
    await office.notifier.notify(original, failures(original))
    (sent,) = office.sent
    assert (sent.reverse_path, sent.kind, sent.envelopes[0].recipient) == ("", "bounce", "joe@client.test")
    report = message_from_bytes(await office.content(sent))
    assert report.get_content_type() == "multipart/report"
    assert "how it began" in report.as_string()


async def test_what_fails_at_nearly_the_same_time_is_told_once() -> None:
    office = Office()
    original = await office.original("bob@one.test", "eve@two.test")
    first, second = failures(original)
    await asyncio.gather(office.notifier.notify(original, [first]), office.notifier.notify(original, [second]))
    (sent,) = office.sent
    text = (await office.content(sent)).decode()
    assert "bob@one.test" in text
    assert "eve@two.test" in text


@pytest.mark.parametrize(("reverse_path", "kind"), [("", "mail"), ("joe@client.test", "bounce")])
async def test_a_null_reverse_path_and_a_bounce_are_never_bounced(reverse_path: str, kind: str) -> None:
    office = Office()
    original = await office.original("bob@remote.test", reverse_path=reverse_path, kind=kind)
    await office.notifier.notify(original, failures(original))
    assert office.sent == []
    assert [each.result for each in office.events if isinstance(each, BounceEvent)] == ["suppressed"]


async def test_nobody_is_told_who_said_never() -> None:
    office = Office()
    original = await office.original("bob@remote.test")
    await office.notifier.notify(original, failures(original, notify=Notify.NEVER))
    assert office.sent == []


async def test_a_sender_who_is_refused_is_noted_and_the_mail_ends() -> None:
    office = Office()
    office.answer = Refused(Reply(550, "Invalid recipient", "5.7.1"), "relay_denied")
    original = await office.original("bob@remote.test")
    await office.notifier.notify(original, failures(original))
    assert office.sent == []
    assert [each.event for each in office.events if isinstance(each, Notice)] == ["delivery.undeliverable-bounce"]


async def test_a_sender_who_cannot_be_looked_up_now_is_told_later() -> None:
    office = Office()
    office.answer = Refused(Reply(451, "Temporary failure", "4.3.0"), "other")
    original = await office.original("bob@remote.test")
    with pytest.raises(SpoolError):
        await office.notifier.notify(original, failures(original))


async def test_a_process_that_ends_waits_for_nothing_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GROUPING_SECONDS", 60.0)
    office = Office()
    original = await office.original("bob@remote.test")
    waiting = asyncio.create_task(office.notifier.notify(original, failures(original)))
    await asyncio.sleep(0)
    office.notifier.hurry()
    await asyncio.wait_for(waiting, 5)
    assert len(office.sent) == 1


async def test_a_fault_of_ours_is_told_to_who_waits_and_can_be_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    office = Office()
    original = await office.original("bob@remote.test")
    with monkeypatch.context() as broken:
        broken.setattr(module, "build_dsn", None)
        with pytest.raises(SpoolError, match="no notification"):
            await asyncio.wait_for(office.notifier.notify(original, failures(original)), 1.0)
    await office.notifier.notify(original, failures(original))
    assert len(office.sent) == 1
