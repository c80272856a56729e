"""A big message on its way in: a segment of its own that grows while DATA runs. All of it runs in threads."""

from collections.abc import Callable, Sequence
from threading import Lock

from paquebot_mta.spool.committer import LostOwnershipError, Placed
from paquebot_mta.spool.disk import Disk
from paquebot_mta.spool.format import HEADER_BYTES, Kind
from paquebot_mta.spool.owner import Ownership
from paquebot_mta.spool.segment import NewRecord, SegmentFactory, SegmentWriter


class PrivateMessage:
    """One message; the calls come one after the other."""

    def __init__(self, disk: Disk, factory: SegmentFactory, ownership: Ownership, clock: Callable[[], float]) -> None:
        """Create nothing yet."""
        self._disk = disk
        self._factory = factory
        self._ownership = ownership
        self._clock = clock
        self._writer: SegmentWriter | None = None
        self._lock = Lock()
        self._aborted = False

    def write(self, msgid: int, payloads: Sequence[bytes]) -> None:
        """Append content, chunks of at most 64 KiB.

        Raises:
            OSError: the message is lost.
        """
        with self._lock:
            self._write([(Kind.BODY, msgid, payload) for payload in payloads])

    def finish(self, msgid: int, payloads: Sequence[bytes], accepted: bytes) -> Placed:
        """Append the rest and the envelopes and make all durable: content, name, and that it is still ours.

        Raises:
            OSError: the message is lost.
        """
        with self._lock:
            return self._finish([*((Kind.BODY, msgid, part) for part in payloads), (Kind.ACCEPT, msgid, accepted)])

    def _finish(self, records: Sequence[NewRecord]) -> Placed:
        writer = self._write(records)
        writer.sync()
        self._disk.sync_dir(writer.segment.home.path)
        self._writer = None  # from here on an adopter may have read it: it is not ours to throw away
        if not self._ownership.check():
            raise LostOwnershipError("the owner block names another incarnation")
        writer.seal()
        return Placed(writer.segment, HEADER_BYTES)

    def _write(self, records: Sequence[NewRecord]) -> SegmentWriter:
        if self._aborted:
            raise OSError("the message was aborted")
        self._writer = writer = self._writer or self._factory.make(self._clock(), private=True, sync=False)
        buffers: list[bytes] = []
        writer.append(records, buffers)
        writer.flush(buffers)
        return writer

    def abort(self) -> None:
        """Throw it away, even while a write that nobody waits for is still under way."""
        with self._lock:
            self._aborted = True
            if self._writer is not None:
                self._writer.remove()
