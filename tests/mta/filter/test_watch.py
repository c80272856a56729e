"""Services that filters ask: it is known whether they are there, without mail and without many questions."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from paquebot_mta.config.filters import Greylist, Milter
from paquebot_mta.filter import watch as watching
from paquebot_mta.filter.contract import FilterError
from paquebot_mta.filter.greylist.greylist import GreylistFilter
from paquebot_mta.filter.greylist.store import MemoryStore, StoreError
from paquebot_mta.filter.milter.milter import MilterFilter
from paquebot_mta.filter.watch import Watch
from paquebot_mta.telemetry.events import Event, Notice
from tests.support.processes import LOOPBACK, free_port

from .asked import World, told_of
from .milter.scripted import ScriptedMilter
from .process.stage import until


class Service:
    """Is there or away, and counts how often it is asked."""

    def __init__(self) -> None:
        self.away: Exception | None = None
        self.asked = 0
        self.told: list[str] = []
        self.watch = Watch("scan", self.answer, self.note, every_seconds=0.01)

    async def answer(self) -> None:
        self.asked += 1
        if self.away is not None:
            raise self.away

    def note(self, event: Event) -> None:
        assert isinstance(event, Notice)
        self.told.append(event.event)

    async def asked_again(self, times: int = 2) -> None:
        """Wait until an answer that was begun after this call was noted."""
        end = self.asked + times
        await until(lambda: self.asked >= end)


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    found = Service()
    yield found
    await found.watch.close()


async def test_it_is_told_once_that_a_service_went_away_and_once_that_it_is_back(service: Service) -> None:
    service.watch.start()
    await service.asked_again()
    assert service.watch.trouble == ""
    service.away = ConnectionRefusedError(111, "Connection refused")
    await service.asked_again(4)
    assert service.watch.trouble == "it can't be reached: Connection refused"
    service.away = None
    await service.asked_again(4)
    assert service.watch.trouble == ""
    assert service.told == ["filter.away", "filter.back"]


@pytest.mark.parametrize(
    ("fault", "trouble"),
    [
        (TimeoutError(), "no answer within 5 s"),
        (FilterError("status 503"), "it can't be used: status 503"),
        (RuntimeError("a bug"), "it can't be asked: RuntimeError"),
    ],
)
async def test_whatever_is_wrong_is_named_and_the_watch_goes_on(
    service: Service, fault: Exception, trouble: str
) -> None:
    service.away = fault
    service.watch.start()
    await service.asked_again(3)
    assert service.watch.trouble == trouble


async def test_a_service_that_hangs_is_away(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "PROBE_SECONDS", 0.01)
    hung = Watch("scan", asyncio.Event().wait, service.note, every_seconds=0.01)
    hung.start()
    await until(lambda: bool(hung.trouble))
    await hung.close()
    assert service.told == ["filter.away"]


async def test_a_service_that_answers_mail_is_not_asked_beside(service: Service) -> None:
    service.watch.heard()
    service.watch.start()
    await asyncio.sleep(0)
    assert (service.asked, service.watch.trouble) == (0, "")


async def test_a_doubted_service_is_asked_although_it_answered_before(service: Service) -> None:
    service.watch.heard()
    service.watch.doubt()
    service.watch.start()
    await service.asked_again(1)


async def test_a_milter_that_is_away_is_known_before_mail_comes() -> None:
    away = MilterFilter("milter", Milter(address=f"{LOOPBACK}:{free_port()}"), World().tools)
    assert "it can't be reached" in await told_of(away)


async def test_a_milter_is_greeted_and_told_nothing_of_a_session() -> None:
    script = ScriptedMilter()
    server = await asyncio.start_server(script.accept, LOOPBACK, 0)
    port = server.sockets[0].getsockname()[1]
    there = MilterFilter("milter", Milter(address=f"{LOOPBACK}:{port}"), World().tools)
    assert await told_of(there) == ""
    await asyncio.wait(script.serving, timeout=10.0)
    server.close()
    assert (len(script.offers), script.letters()) == (1, b"Q")


def test_a_milter_in_the_pod_is_no_service_of_all_pods() -> None:
    beside = MilterFilter("milter", Milter(address="unix:/run/milter/socket"), World().tools)
    elsewhere = MilterFilter("milter", Milter(address="milter.mail.svc:8891"), World().tools)
    assert (beside.shared, elsewhere.shared) == (False, True)


class BrokenStore(MemoryStore):
    async def find(self, key: str, now_seconds: int) -> int | None:
        raise StoreError("redis: ConnectionError")


async def test_a_greylist_whose_store_is_away_says_so() -> None:
    grey = GreylistFilter("grey", Greylist(), World().tools, BrokenStore())
    assert await told_of(grey) == "it can't be used: redis: ConnectionError"
