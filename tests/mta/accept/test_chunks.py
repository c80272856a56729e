"""However a conversation is cut into segments, it is answered and stored the same."""

import asyncio
import itertools
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from paquebot_mta.accept.session import MtaSession
from tests.mta.accept.support import Served, serve

CONVERSATION = (
    b"MAIL FROM:<joe@client.example> SIZE=20\r\nRCPT TO:<alice@example.test>\r\nRCPT TO:<nobody@example.test>\r\n",
    b"DATA\r\n",
    b"a: b\r\n\r\n..\r\nx\r\n.\r\nMAIL FROM:<>\r\nRCPT TO:<bob@example.test>\r\n"
    b"BDAT 9\r\nc: d\r\n\r\n.BDAT 5 LAST\r\n\r\n.\r\n"
    b"bogus\r\nMAIL FROM:<>\r\nRSET\r\nQUIT\r\n",
)


class Wire(asyncio.Transport):
    """Collects what is written."""

    def __init__(self) -> None:
        super().__init__({"peername": ("192.0.2.7", 4711), "sockname": ("192.0.2.1", 25)})
        self.written = b""

    def write(self, data: Any) -> None:
        self.written += data

    def close(self) -> None:
        """Nothing is behind it."""

    def pause_reading(self) -> None:
        """Nothing comes by itself."""

    def resume_reading(self) -> None:
        """Nothing comes by itself."""


async def _converse(served: Served, cuts: list[int]) -> tuple[bytes, list[bytes]]:
    policy = served.acceptor.policy_of("mx")
    assert policy is not None
    session, wire = MtaSession(served.acceptor, policy), Wire()
    session.connection_made(wire)
    for part in (b"EHLO client.example\r\n", *CONVERSATION):
        edges = [0, *sorted(cut for cut in cuts if cut < len(part)), len(part)]
        for start, end in itertools.pairwise(edges):
            session.data_received(part[start:end])
            await asyncio.sleep(0)
        await served.until(lambda: session._task is None)
    session.connection_lost(None)
    contents = served.spool.contents()
    served.spool.stored.clear()
    for message in served.accepted:
        wire.written = wire.written.replace(message.msgid.encode(), b"MSGID")
    return wire.written, contents


@settings(max_examples=40)
@given(st.lists(st.integers(0, 160), max_size=12))
def test_segment_boundaries_never_matter(cuts: list[int]) -> None:
    async def converse() -> None:
        async with serve() as served:
            whole = await _converse(served, [])
            assert whole[1] == [b"a: b\r\n\r\n.\r\nx\r\n", b"c: d\r\n\r\n.\r\n.\r\n"]
            assert [line[:3] for line in whole[0].splitlines()[10:]] == [
                b"250", b"250", b"550", b"354", b"250", b"250", b"250", b"250", b"250", b"500", b"250", b"250", b"221",
            ]  # fmt: skip
            assert await _converse(served, cuts) == whole

    asyncio.run(converse())
