"""The bytes of a segment, format versions 1 and 2: a header of 4,096 bytes, then records, all numbers big-endian.

Header: written twice, at 0 and at 2,048, so that one damaged byte can't cost a whole segment::

    magic 8s | version u16 | checksum id u8 | compression id u8 | flags u16 | kid u32 | segment id u64 |
    created at f64 | incarnation 64s | salt 32s | CRC-32 u32
    version 2: | key check 16s | CRC-32 u32 of it, seeded by the first

Record::

    magic 4s | length u32 | type u8 | flags u8 | seq u64 | msgid u32 | header CRC-32 u32 | payload | check 16s

The CRC of a record's header is seeded by the segment's salt, which no sender knows: mail that contains the bytes of a
record is never taken for one. ``check`` is the tag of a sealed record (checksum id 2, kid > 0: ``seal``); with
checksum id 1 it is the CRC-32 of the payload seeded by the header's, 12 zero bytes behind it. CRC-32 and not BLAKE2b
because it costs 0.8 instead of 4.0 microseconds for 4 KiB and finds what a disk does; who may forge, needs sealing.

Version 2 is written only by who seals or packs, so that a version before can take over all that it can read. A record's
flags say how its payload is packed (``packing``); the header's compression id only what its writer had in mind.
``seq`` counts from 0 in each segment. Lengths are untrusted until the header's CRC is checked, and bounded after it.
"""

import struct
from enum import IntEnum
from typing import Final, NamedTuple
from zlib import crc32

from msgspec import Struct
from msgspec.structs import replace

PLAIN_VERSION: Final = 1
VERSION: Final = 2
CHECKSUM_CRC32: Final = 1
CHECKSUM_AES_GCM: Final = 2
COMPRESSION_NONE: Final = 0
KEY_CHECK_BYTES: Final = 16
HEADER_BYTES: Final = 4096
SECOND_COPY_AT: Final = 2048
BODY_BYTES: Final = 65_536
MAX_PAYLOAD_BYTES: Final = 16 * 1024 * 1024
CHECK_BYTES: Final = 16
RECORD_MAGIC: Final = b"\xb5Pq\x1e"
MAX_INCARNATION_BYTES: Final = 64

_HEADER_MAGIC: Final = b"\x89PAQSEG\n"
_HEADER: Final = struct.Struct(">8sHBBHIQd64s32s")
_RECORD: Final = struct.Struct(">4sIBBQI")
_U32: Final = struct.Struct(">I")
_PADDING: Final = bytes(CHECK_BYTES - 4)
_CHECK: Final = struct.Struct(f">I{CHECK_BYTES - 4}s")
RECORD_HEADER_BYTES: Final = _RECORD.size + _U32.size
OVERHEAD_BYTES: Final = RECORD_HEADER_BYTES + CHECK_BYTES


class Kind(IntEnum):
    """Record types. A number is never reused; readers skip those they do not know."""

    BODY = 1
    ACCEPT = 2
    INTENT = 3
    RESULT = 4
    DONE = 5
    ADOPT = 6
    CLOCK = 7
    MOVED = 8
    GOODBYE = 9
    CONFIRMED = 10


class SegmentHeader(Struct, frozen=True):
    """What a segment says of itself.

    Attributes:
        segment_id: counts up within the incarnation.
        incarnation: its only writer.
        salt: 32 random bytes.
        created_at: wall clock, seconds since 1970.
        private: it holds one big message.
        kid: id of the key ring's key, 0 means not sealed.
        compression: id, 0 means none.
        key_check: version 2: tells whether a key of that id is the key.
    """

    segment_id: int
    incarnation: str
    salt: bytes
    created_at: float
    private: bool = False
    kid: int = 0
    compression: int = COMPRESSION_NONE
    checksum: int = CHECKSUM_CRC32
    version: int = PLAIN_VERSION
    key_check: bytes = bytes(KEY_CHECK_BYTES)

    @property
    def seed(self) -> int:
        """What the CRC of each record's header starts from."""
        return crc32(self.salt)

    @property
    def readable(self) -> bool:
        """Whether this reader knows how; if not the segment is held, never touched."""
        if self.version == PLAIN_VERSION:
            return (self.checksum, self.compression, self.kid) == (CHECKSUM_CRC32, COMPRESSION_NONE, 0)
        return self.version == VERSION and self.checksum == (CHECKSUM_AES_GCM if self.kid else CHECKSUM_CRC32)

    @property
    def fields(self) -> bytes:
        """All that was fixed before its key was made: the header as it is spelled, up to the first CRC."""
        return _HEADER.pack(
            _HEADER_MAGIC,
            self.version,
            self.checksum,
            self.compression,
            int(self.private),
            self.kid,
            self.segment_id,
            self.created_at,
            self.incarnation.encode("ascii", "replace"),
            self.salt,
        )


class RecordHead(NamedTuple):
    """The header of a record whose CRC was right."""

    length: int
    kind: int
    flags: int
    seq: int
    msgid: int
    crc: int


def encode_header(header: SegmentHeader) -> bytes:
    """Spell a segment's header, both copies."""
    fields = header.fields
    crc = crc32(fields)
    copy = fields + _U32.pack(crc)
    if header.version >= VERSION:
        copy += header.key_check + _U32.pack(crc32(header.key_check, crc))
    return 2 * copy.ljust(SECOND_COPY_AT, b"\0")


def decode_header(data: bytes) -> SegmentHeader | None:
    """Read whichever copy is whole; None if none is."""
    return _decode_copy(data[:SECOND_COPY_AT]) or _decode_copy(data[SECOND_COPY_AT:HEADER_BYTES])


def _decode_copy(copy: bytes) -> SegmentHeader | None:
    end, crc = _HEADER.size, crc32(copy[: _HEADER.size])
    if len(copy) < end + 4 or not copy.startswith(_HEADER_MAGIC) or copy[end : end + 4] != _U32.pack(crc):
        return None
    _, version, checksum, compression, flags, kid, segment_id, created_at, incarnation, salt = _HEADER.unpack_from(copy)
    name = incarnation.rstrip(b"\0").decode("ascii", "replace")
    private = bool(flags & 1)
    header = SegmentHeader(segment_id, name, salt, created_at, private, kid, compression, checksum, version)
    return header if version != VERSION else _with_key_check(header, copy[end + 4 :], crc)


def _with_key_check(header: SegmentHeader, rest: bytes, crc: int) -> SegmentHeader | None:
    check = rest[:KEY_CHECK_BYTES]
    if rest[KEY_CHECK_BYTES : KEY_CHECK_BYTES + 4] != _U32.pack(crc32(check, crc)):
        return None
    return replace(header, key_check=check)


def encode_record_head(seed: int, seq: int, kind: int, msgid: int, length: int, flags: int) -> tuple[bytes, int]:
    """Spell the header of a record; returns its CRC too."""
    fields = _RECORD.pack(RECORD_MAGIC, length, kind, flags, seq, msgid)
    crc = crc32(fields, seed)
    return fields + _U32.pack(crc), crc


def encode_record(
    seed: int, seq: int, kind: int, msgid: int, payload: bytes, flags: int = 0
) -> tuple[bytes, bytes, bytes]:
    """Spell a record that isn't sealed as three buffers: header, payload, check."""
    fields = _RECORD.pack(RECORD_MAGIC, len(payload), kind, flags, seq, msgid)
    crc = crc32(fields, seed)
    return fields + _U32.pack(crc), payload, _CHECK.pack(crc32(payload, crc), _PADDING)


def decode_record_head(seed: int, data: bytes | memoryview) -> RecordHead | None:
    """Read a record's header; None if it is not one of this segment."""
    if len(data) < RECORD_HEADER_BYTES or data[:4] != RECORD_MAGIC:
        return None
    crc = crc32(data[: _RECORD.size], seed)
    if _U32.unpack_from(data, _RECORD.size)[0] != crc:
        return None
    _, length, kind, flags, seq, msgid = _RECORD.unpack_from(data)
    return RecordHead(length, kind, flags, seq, msgid, crc) if length <= MAX_PAYLOAD_BYTES else None


def payload_check(payload: bytes | memoryview, header_crc: int) -> bytes:
    """Compute the 16 bytes behind a payload that is not encrypted."""
    return _U32.pack(crc32(payload, header_crc)) + _PADDING
