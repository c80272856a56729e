"""A whole message as records: content first, its envelopes last, which say how much log the content takes."""

from collections.abc import Iterable, Sequence
from typing import Final

from msgspec.structs import replace

from paquebot_mta.mail.reply import Reply
from paquebot_mta.spool.format import MAX_PAYLOAD_BYTES, OVERHEAD_BYTES, Kind
from paquebot_mta.spool.records import Accepted, encode
from paquebot_mta.spool.sealer import Sealer
from paquebot_mta.spool.segment import NewRecord
from paquebot_mta.spool.store import MAX_ENVELOPES_BYTES, SpoolError

_ELSE_BYTES: Final = 64 * 1024
"""More than all of a message but its envelopes takes."""
MAX_ACCEPT_BYTES: Final = MAX_ENVELOPES_BYTES + _ELSE_BYTES
"""About half of the longest record: an envelope takes 64 bytes at least and its state, without words, 57 at most, so
that a message that was accepted can be copied with the states of all its envelopes."""
TOO_MANY: Final = Reply(452, "Too many recipients", "4.5.3")


class OversizedError(SpoolError):
    """A record that would be longer than any reader takes: it is not written."""


def body_records(sealer: Sealer, msgid: int, chunks: Iterable[bytes]) -> list[NewRecord]:
    """Content, chunks of at most 64 KiB, packed if that is wanted: 0.1 to 1 ms of computing for each chunk then."""
    if not sealer.packs:
        return [NewRecord(Kind.BODY, msgid, chunk) for chunk in chunks]
    return [NewRecord(Kind.BODY, msgid, *sealer.pack(Kind.BODY, chunk)) for chunk in chunks]


def plain_bytes(content_bytes: int, chunks: int) -> int:
    """What content takes in the log unless it is packed."""
    return content_bytes + OVERHEAD_BYTES * chunks


def accepted_record(sealer: Sealer, msgid: int, kind: Kind, accepted: Accepted) -> NewRecord:
    """Envelopes.

    Raises:
        OversizedError: there are too many.
    """
    payload = _spell(kind, accepted)
    if not sealer.packs:
        return NewRecord(kind, msgid, payload)
    return NewRecord(kind, msgid, *sealer.pack(kind, payload))


def _spell(kind: Kind, accepted: Accepted) -> bytes:
    """Spell envelopes; where the states of very many are too long, without what servers said, but their codes."""
    payload, most = encode(accepted), MAX_ACCEPT_BYTES if kind == Kind.ACCEPT else MAX_PAYLOAD_BYTES
    if len(payload) > most and accepted.states:
        states = {key: replace(state, text="") for key, state in accepted.states.items()}
        payload = encode(replace(accepted, states=states))
    if len(payload) > most:
        raise OversizedError(TOO_MANY, f"{len(payload)} bytes of envelopes, {most} are the most")
    return payload


def message_records(
    sealer: Sealer, msgid: int, chunks: Iterable[bytes], kind: Kind, accepted: Accepted
) -> list[NewRecord]:
    """The records of a message that is written at once; ``accepted`` gets its ``body_bytes`` here, if it lacks them.

    Raises:
        OversizedError: there are too many envelopes.
    """
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
