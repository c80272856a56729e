"""A whole session of the client against a server that says any bytes at any pace."""

import asyncio
from contextlib import suppress

from paquebot_mta.deliver.faults import SessionFaultError, StaleSessionError
from paquebot_mta.deliver.transport import Receipt, Task
from paquebot_mta.mail.outcome import Deferred, Delivered, Failed
from tests.fuzz.client import Stage, codes, make_task
from tests.fuzz.material import Material, cut, with_runs
from tests.fuzz.transport import run, settle, turns


def fuzz_client(data: bytes) -> None:
    """Each envelope has an outcome; delivered only after a final dot and a 2yz; nothing is sent that is no SMTP."""
    run(_converse(Material(data)))


async def _converse(source: Material) -> None:
    how, pace, sizes = source.byte(), source.byte() % 8, source.sizes()
    stream = with_runs(source.rest())
    stage = Stage(lmtp=bool(how & 1), tls=bool(how & 2), login=bool(how & 4))
    task = make_task((how >> 3) % 6 + 1)
    receipts = list[Receipt]()
    work = asyncio.get_running_loop().create_task(_deliver(stage, task, 1 + (how >> 6), receipts))
    for chunk in cut(stream, sizes):
        await turns(pace)
        if not stage.transport.closing:
            stage.fed += len(chunk)
            stage.wire.data_received(chunk)
    await turns(8)
    if not stage.transport.closing:
        stage.wire.eof_received()
        stage.transport.close()
    await settle(work)
    work.result()
    stage.check()
    for receipt in receipts:
        _check(receipt, task, stage, stream)


async def _deliver(stage: Stage, task: Task, times: int, receipts: list[Receipt]) -> None:
    try:
        session = await stage.open()
    except SessionFaultError as fault:
        stage.refused(fault)
        return
    session.watch(None)
    for _ in range(times):
        if session.usable:
            with suppress(StaleSessionError):
                receipts.append(await session.deliver(task))
    await session.quit()


def _check(receipt: Receipt, task: Task, stage: Stage, stream: bytes) -> None:
    assert receipt.outcomes.keys() == {each.evpid for each in task.envelopes}
    for outcome in receipt.outcomes.values():
        match outcome:
            case Delivered(reply=reply):
                assert 200 <= reply.code < 300
                assert b"2" in codes(stream[stage.dot_at :])
            case Failed(reply=reply):
                assert reply.permanent
            case Deferred(reply=reply):
                assert reply.transient
            case _:
                raise AssertionError(outcome)
