"""A queue that was copied while it was in use, as a snapshot of its volume does, is a queue."""

import shutil
from pathlib import Path

from tests.mta.spool.support import contents, deferred, everything, final, journal, store


async def test_a_restored_copy_has_all_that_waited_when_it_was_taken(tmp_path: Path) -> None:
    async with journal(tmp_path / "queue") as spool:
        gone, waiting, tried = [await store(spool, content) for content in (b"gone", b"waiting", b"tried")]
        await spool.update([final(gone.envelopes[0].evpid), deferred(tried.envelopes[0].evpid, 3)])
        shutil.copytree(tmp_path / "queue", tmp_path / "copy")
        await spool.update([final(waiting.envelopes[0].evpid)])
    async with journal(tmp_path / "copy") as restored:
        found = await everything(restored)
    assert sorted(contents(found.values())) == [b"tried", b"waiting"]
    assert found[tried.msgid][0].states[tried.envelopes[0].evpid].attempts == 3


async def test_a_queue_that_was_moved_to_another_place_is_the_same_queue(tmp_path: Path) -> None:
    async with journal(tmp_path / "queue", crash=True) as spool:
        message = await store(spool, b"moved")
    (tmp_path / "queue").rename(tmp_path / "elsewhere")
    async with journal(tmp_path / "elsewhere") as moved:
        assert list(await everything(moved)) == [message.msgid]
