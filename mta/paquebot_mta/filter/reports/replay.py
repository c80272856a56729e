"""Feeds a recorded stream to a program, as if it had been there: with the handshake of a filter, or as plain lines."""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from paquebot_mta.filter.contract import Failing
from paquebot_mta.filter.process.answers import Answer, Remark
from paquebot_mta.filter.process.channel import Channel
from paquebot_mta.filter.process.connect import ChildWay, Running
from paquebot_mta.filter.process.keeper import GOODBYE_SECONDS, REGISTRATION_SECONDS
from paquebot_mta.filter.process.registration import Introduction, Registration
from paquebot_mta.filter.reports.recorded import Recorded, read_line

Tell = Callable[[str], None]


@dataclass(slots=True)
class Tally:
    """What a replay came to: lines told to the program, lines that are no reports, numbers that are missing."""

    told: int = 0
    unreadable: int = 0
    missing: int = 0


class ReplayError(Exception):
    """The program can't be fed."""


async def replay(lines: Iterable[bytes], command: tuple[str, ...], tell: Tell) -> Tally:
    """Run a program as a filter, tell it the reports that it wants, and wait for its end.

    Args:
        lines: of a recorded stream.
        tell: takes what it says, on its standard error too.

    Raises:
        ReplayError: it can't be run, isn't ready in time, or ends before the last line.
    """
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[str] = loop.create_future()

    def end(cause: str, _: Failing) -> None:
        if not ended.done():
            ended.set_result(cause)

    def answer(given: Answer) -> None:
        tell(
            f"it said report|{given.text}" if isinstance(given, Remark) else f"it answered what was not asked: {given}"
        )

    channel = Channel(Introduction(outgoing=True), answer, end)
    try:
        running = await ChildWay(command).connect(channel, tell)
    except OSError as error:
        raise ReplayError(f"it can't be run: {error.strerror}") from None
    try:
        return await _feed(channel, lines, ended)
    finally:
        await _stop(channel, running)


async def _stop(channel: Channel, running: Running) -> None:
    channel.end("the end")
    await running.stop(GOODBYE_SECONDS)
    channel.abort()


async def _feed(channel: Channel, lines: Iterable[bytes], ended: asyncio.Future[str]) -> Tally:
    try:
        registration = await asyncio.wait_for(asyncio.shield(channel.registered), REGISTRATION_SECONDS)
    except TimeoutError:
        raise ReplayError("it doesn't get ready") from None
    if registration is None:
        raise ReplayError(await ended)
    tally = Tally()
    for each in recorded_lines(lines, tally):
        if _wants(registration, each):
            await channel.wait_for_room()
            if channel.ended:
                raise ReplayError(await ended)
            channel.write(each.line + b"\n")
            tally.told += 1
            if not tally.told % 100:
                await asyncio.sleep(0)  # let it be sent, and answers come in
    return tally


def recorded_lines(lines: Iterable[bytes], tally: Tally, endpoint: str = "recorded") -> Iterator[Recorded]:
    """Read lines; what is unreadable or missing is counted. A number 1 begins a stream anew.

    What was before the first number isn't missing: a file that was rotated begins where the last one ended. Lines
    without a number count for nothing.
    """
    last: int | None = None
    for raw in lines:
        try:
            each = read_line(raw.rstrip(b"\r\n"), endpoint)
        except ValueError:
            tally.unreadable += 1
            continue
        if last is not None and each.sequence > last + 1:
            tally.missing += each.sequence - last - 1
        last = each.sequence or last
        yield each


def _wants(registration: Registration, each: Recorded) -> bool:
    wanted = registration.incoming if each.event.direction == "in" else registration.outgoing
    return each.event.name in wanted
