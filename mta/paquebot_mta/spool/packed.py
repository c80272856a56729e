"""A whole message as records: content first, its envelopes last, which say how much log the content takes."""

from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from paquebot_mta.spool.format import OVERHEAD_BYTES, Kind
from paquebot_mta.spool.records import Accepted, encode
from paquebot_mta.spool.sealer import Sealer
from paquebot_mta.spool.segment import NewRecord


def body_records(sealer: Sealer, msgid: int, chunks: Iterable[bytes]) -> list[NewRecord]:
    """Content, chunks of at most 64 KiB, packed if that is wanted: 0.1 to 1 ms of computing for each chunk then."""
    return [NewRecord(Kind.BODY, msgid, *sealer.pack(Kind.BODY, chunk)) for chunk in chunks]


def accepted_record(sealer: Sealer, msgid: int, kind: Kind, accepted: Accepted) -> NewRecord:
    """Envelopes."""
    return NewRecord(kind, msgid, *sealer.pack(kind, encode(accepted)))


def message_records(
    sealer: Sealer, msgid: int, chunks: Iterable[bytes], kind: Kind, accepted: Accepted
) -> list[NewRecord]:
    """The records of a message that is written at once; ``accepted`` gets its ``body_bytes`` here."""
    records = body_records(sealer, msgid, chunks)
    records.append(accepted_record(sealer, msgid, kind, replace(accepted, body_bytes=log_bytes(records))))
    return records


def log_bytes(records: Sequence[NewRecord]) -> int:
    """What records take in the log."""
    return sum(len(record.payload) for record in records) + OVERHEAD_BYTES * len(records)


def lengths_of(records: Sequence[NewRecord]) -> tuple[int, int]:
    """What content and envelopes of a message take."""
    return log_bytes(records[:-1]), log_bytes(records[-1:])
