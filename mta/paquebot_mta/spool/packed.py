"""A whole message as records: content first, its envelopes last, which say how much log the content takes."""

from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from paquebot_mta.spool.format import OVERHEAD_BYTES, Kind
from paquebot_mta.spool.records import Accepted, encode
from paquebot_mta.spool.sealer import Sealer
from paquebot_mta.spool.segment import NewRecord


def body_records(sealer: Sealer, msgid: int, chunks: Iterable[bytes]) -> list[NewRecord]:
    """Content, chunks of at most 64 KiB, packed if that is wanted: 0.1 to 1 ms of computing for each chunk then."""
    if not sealer.packs:
        return [NewRecord(Kind.BODY, msgid, chunk) for chunk in chunks]
    return [NewRecord(Kind.BODY, msgid, *sealer.pack(Kind.BODY, chunk)) for chunk in chunks]


def plain_bytes(content_bytes: int, chunks: int) -> int:
    """What content takes in the log unless it is packed."""
    return content_bytes + OVERHEAD_BYTES * chunks


def accepted_record(sealer: Sealer, msgid: int, kind: Kind, accepted: Accepted) -> NewRecord:
    """Envelopes."""
    if not sealer.packs:
        return NewRecord(kind, msgid, encode(accepted))
    return NewRecord(kind, msgid, *sealer.pack(kind, encode(accepted)))


def message_records(
    sealer: Sealer, msgid: int, chunks: Iterable[bytes], kind: Kind, accepted: Accepted
) -> list[NewRecord]:
    """The records of a message that is written at once; ``accepted`` gets its ``body_bytes`` here, if it lacks them."""
    records = body_records(sealer, msgid, chunks)
    body_bytes = log_bytes(records)
    if accepted.body_bytes != body_bytes:
        accepted = replace(accepted, body_bytes=body_bytes)
    records.append(accepted_record(sealer, msgid, kind, accepted))
    return records


def log_bytes(records: Sequence[NewRecord]) -> int:
    """What records take in the log."""
    length = 0
    for _, _, payload, _ in records:  # a few at most: a sum over a generator takes four times as long
        length += OVERHEAD_BYTES + len(payload)
    return length


def lengths_of(records: Sequence[NewRecord]) -> tuple[int, int]:
    """What content and envelopes of a message take."""
    accepted = OVERHEAD_BYTES + len(records[-1].payload)
    return log_bytes(records) - accepted, accepted
