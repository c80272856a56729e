"""A big message on its way in: a segment of its own that grows while DATA runs. All of it runs in threads."""

from collections.abc import Callable, Sequence
from threading import Lock
from typing import Final

from paquebot_mta.mail.envelope import Message
from paquebot_mta.spool.committer import LostOwnershipError, Placed
from paquebot_mta.spool.disk import Disk
from paquebot_mta.spool.format import HEADER_BYTES, Kind
from paquebot_mta.spool.owner import Ownership
from paquebot_mta.spool.packed import accepted_record, body_records, log_bytes
from paquebot_mta.spool.records import Accepted
from paquebot_mta.spool.sealer import Sealer
from paquebot_mta.spool.segment import NewRecord, SegmentFactory, SegmentWriter

_PLAIN: Final = Sealer()
"""Packs nothing, for a segment that was begun before packing was wanted."""


class PrivateMessage:
    """One message; the calls come one after the other.

    Attributes:
        body_bytes, accept_bytes: what its records take.
    """

    def __init__(
        self, disk: Disk, factory: SegmentFactory, sealer: Sealer, ownership: Ownership, clock: Callable[[], float]
    ) -> None:
        """Create nothing yet."""
        self._disk = disk
        self._factory = factory
        self._sealer = sealer
        self._ownership = ownership
        self._clock = clock
        self._writer: SegmentWriter | None = None
        self._lock = Lock()
        self._aborted = False
        self.body_bytes = 0
        self.accept_bytes = 0

    def write(self, msgid: int, chunks: Sequence[bytes]) -> None:
        """Append content, chunks of at most 64 KiB.

        Raises:
            OSError: the message is lost.
        """
        with self._lock:
            self._write_body(self._open(), msgid, chunks)

    def finish(self, msgid: int, chunks: Sequence[bytes], message: Message, together: bool) -> Placed:
        """Append the rest and the envelopes and make all durable: content, name, and that it is still ours.

        Raises:
            OSError: the message is lost.
        """
        with self._lock:
            writer = self._open()
            self._write_body(writer, msgid, chunks)
            sealer = self._sealer if writer.segment.seal.packs else _PLAIN
            accepted = Accepted(message, self.body_bytes, together=together)
            record = accepted_record(sealer, msgid, Kind.ACCEPT, accepted)
            self.accept_bytes = log_bytes([record])
            _append(writer, [record])
            return self._finish(writer)

    def _finish(self, writer: SegmentWriter) -> Placed:
        writer.sync()
        self._disk.sync_dir(writer.segment.home.path)
        self._writer = None  # from here on an adopter may have read it: it is not ours to throw away
        if not self._ownership.check():
            raise LostOwnershipError("the owner block names another incarnation")
        writer.seal()
        return Placed(writer.segment, HEADER_BYTES)

    def _open(self) -> SegmentWriter:
        if self._aborted:
            raise OSError("the message was aborted")
        self._writer = self._writer or self._factory.make(self._clock(), private=True, sync=False)
        return self._writer

    def _write_body(self, writer: SegmentWriter, msgid: int, chunks: Sequence[bytes]) -> None:
        records = body_records(self._sealer if writer.segment.seal.packs else _PLAIN, msgid, chunks)
        self.body_bytes += log_bytes(records)
        _append(writer, records)

    def abort(self) -> None:
        """Throw it away, even while a write that nobody waits for is still under way."""
        with self._lock:
            self._aborted = True
            if self._writer is not None:
                self._writer.remove()


def _append(writer: SegmentWriter, records: Sequence[NewRecord]) -> None:
    buffers: list[bytes] = []
    writer.append(records, buffers)
    writer.flush(buffers)
