"""How the records of one segment are sealed and verified: AES-256-GCM, or a checksum where no key is given.

Each segment has a key of its own, so a counter makes nonces that never repeat (NIST SP 800-38D, 8.2.1): a record's
number in its segment, which one writer counts and no restart continues. ::

    key 32s | key check 16s = HKDF-SHA256 (RFC 5869) of the ring's key, salt and all fields of the segment's header
    nonce 12s               = 0 u32 | seq u64
    associated data         = the record's header | its position in the file u64

So a record opens only in its segment, at its place, with its number, type, message id and length; the plain size of a
packed payload is in front of it, sealed with it. The key check tells a wrong key from damage, and binds a segment to
one key.
"""

import hmac
import struct
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from msgspec.structs import replace

from paquebot_mta.config.key_ring import KEY_BYTES
from paquebot_mta.spool.format import (
    CHECK_BYTES,
    CHECKSUM_AES_GCM,
    KEY_CHECK_BYTES,
    VERSION,
    RecordHead,
    SegmentHeader,
    encode_record,
    encode_record_head,
    payload_check,
)
from paquebot_mta.spool.keys import KeyRing, MissingKeyError

MAX_RECORDS: Final = 2**32
"""In one segment; far beyond what fits into its size."""
_INFO: Final = b"paquebot segment\0"
_NONCE: Final = struct.Struct(">IQ")
_POSITION: Final = struct.Struct(">Q")


class Seal:
    """Seals and opens the records of one segment; any thread may use it."""

    __slots__ = ("_aead", "kid", "packs", "seed")

    def __init__(self, seed: int, kid: int = 0, key: bytes = b"", *, packs: bool = False) -> None:
        """``seed``: for the CRC of record headers; without a ``kid`` records carry a checksum.

        ``packs``: whether payloads may be packed.
        """
        self.seed = seed
        self.kid = kid
        self.packs = packs or kid > 0
        self._aead = AESGCM(key) if kid else None

    def encode(self, position: int, seq: int, kind: int, msgid: int, payload: bytes, flags: int) -> tuple[bytes, ...]:
        """Spell a record that will stand at a position, as buffers.

        Raises:
            OSError: a segment can't hold so many.
        """
        if self._aead is None:
            return encode_record(self.seed, seq, kind, msgid, payload, flags)
        if seq >= MAX_RECORDS:
            raise OSError("too many records in one segment")
        head, _ = encode_record_head(self.seed, seq, kind, msgid, len(payload), flags)
        return head, self._aead.encrypt(_NONCE.pack(0, seq), payload, head + _POSITION.pack(position))

    def open(self, head: RecordHead, position: int, fields: bytes, sealed: bytes) -> bytes | None:
        """Verify what stands behind a record's header ``fields``, and give out the payload; None if it is damaged."""
        if self._aead is None:
            payload = sealed[:-CHECK_BYTES]
            return payload if sealed[-CHECK_BYTES:] == payload_check(payload, head.crc) else None
        if head.seq >= MAX_RECORDS:
            return None
        try:
            return self._aead.decrypt(_NONCE.pack(0, head.seq), sealed, fields + _POSITION.pack(position))
        except InvalidTag:
            return None


NO_SEAL: Final = Seal(0)
"""Of a segment whose header was not read yet."""


def make_seal(header: SegmentHeader, ring: KeyRing, now: float) -> tuple[SegmentHeader, Seal]:
    """Complete the header of a new segment, sealed by the ring's writer if there are keys."""
    key = ring.writer(now)
    if key is None:
        return header, Seal(header.seed, packs=header.version >= VERSION)
    header = replace(header, version=VERSION, checksum=CHECKSUM_AES_GCM, kid=key.kid)
    segment_key, check = _derive(key.secret, header)
    return replace(header, key_check=check), Seal(header.seed, key.kid, segment_key)


def open_seal(header: SegmentHeader, ring: KeyRing) -> Seal:
    """Make the seal of a segment that is there.

    Raises:
        MissingKeyError: the ring has no such key, or another of that id.
    """
    if not header.kid:
        return Seal(header.seed)
    key = ring.find(header.kid)
    if key is None:
        raise MissingKeyError(f"key {header.kid} is not in the queue's key ring", header.kid)
    segment_key, check = _derive(key.secret, header)
    if not hmac.compare_digest(check, header.key_check):
        raise MissingKeyError(f"key {header.kid} of the queue's key ring is another than before", header.kid)
    return Seal(header.seed, header.kid, segment_key)


def _derive(secret: bytes, header: SegmentHeader) -> tuple[bytes, bytes]:
    hkdf = HKDF(SHA256(), KEY_BYTES + KEY_CHECK_BYTES, salt=header.salt, info=_INFO + header.fields)
    derived = hkdf.derive(secret)
    return derived[:KEY_BYTES], derived[KEY_BYTES:]
