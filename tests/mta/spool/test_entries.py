"""Rules of what is kept in memory of each queued message."""

import gc
from pathlib import Path
from typing import Any, cast

from paquebot_mta.spool.index import Entry
from tests.mta.spool.support import journal, store


async def test_the_garbage_collector_has_nothing_to_look_at_in_queued_messages(tmp_path: Path) -> None:
    # It looked at 100,000 of them each second while they were delivered, and all sessions stood still for 0.2 s.
    async with journal(tmp_path) as spool:
        message = await store(spool, b"waits")
        entry = cast(Any, spool)._index.get(message.msgid)
        assert isinstance(entry, Entry)
        assert not gc.is_tracked(entry)
