"""The process of an encrypted and compressed queue dies before single calls: nothing lost, nothing in the clear."""

from pathlib import Path

import pytest

from tests.faults.test_spool_crashes import Account, accept, compact, deliver, finish, recover, run_child
from tests.mta.spool.test_crypto import plaintext, queue, ring

MARKERS = (b"example.test", b"try again later", b"m" * 40)
WAYS = (queue(ring(1), "Zstd"), queue(ring(1, 2), "Gzip"), queue(ring(1, 2, 3)))

pytestmark = [pytest.mark.crash, pytest.mark.slow, pytest.mark.timeout(300)]


def test_every_death_leaves_what_was_promised_and_no_plaintext(tmp_path: Path) -> None:
    """Each life goes on with what is left of the one before, with another key and compression."""
    for start in range(3):
        path, account = tmp_path / str(start), Account()
        for number, die_at in enumerate(range(30 + start * 11, 560, 53)):
            way = WAYS[min(number // 3, 2)]
            for told in run_child(path, die_at, (accept, deliver, compact), way)[0]:
                account.add(told)
            assert plaintext(path, *MARKERS) == []
        recover(path, account, WAYS[2])
        assert account.accepted
        finish(path, WAYS[2])
        assert plaintext(path, *MARKERS) == []
