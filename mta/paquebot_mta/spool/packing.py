"""Compression of single records, before they are sealed: each for itself, so that a damaged one harms no other, and
one sender's mail never shares a compressor's window with another's.

A packed payload begins with its plain size. Nothing is believed: what is unpacked ends at that size, and that is
bounded by what a record of its kind may hold.
"""

import struct
import sys
import threading
import zlib
from collections.abc import Mapping
from enum import IntEnum
from typing import Final, Literal

from paquebot_mta.spool.format import BODY_BYTES, MAX_PAYLOAD_BYTES, Kind

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

Compression = Literal["None", "Zstd", "Gzip"]


class Packing(IntEnum):
    """How a payload is compressed: the two lowest bits of a record's flags."""

    PLAIN = 0
    ZSTD = 1
    GZIP = 2


PACKINGS: Final[dict[Compression, Packing]] = {"None": Packing.PLAIN, "Zstd": Packing.ZSTD, "Gzip": Packing.GZIP}
_MASK: Final = 3
_SIZE: Final = struct.Struct(">I")
_ZSTD_LEVEL: Final = 1
_GZIP_LEVEL: Final = 1
_GZIP_WINDOW: Final = 31  # zlib's way to say gzip (RFC 1952)
_LEAST_BYTES: Final = {Kind.BODY: 256, Kind.ACCEPT: 2_048, Kind.MOVED: 2_048}
_NEVER_BYTES: Final = MAX_PAYLOAD_BYTES + 1
_ZSTD_OPTIONS: Final[Mapping[int, int]] = {zstd.DecompressionParameter.window_log_max: 24}


class Packer:
    """Compresses one way; any thread may use it."""

    def __init__(self, compression: Compression) -> None:
        """Make no compressor yet: each thread has its own."""
        self.packing = PACKINGS[compression]
        self._local = threading.local()

    def pack(self, kind: Kind, payload: bytes) -> tuple[bytes, Packing]:
        """Compress a payload if it is worth it: what doesn't get smaller stays as it is."""
        if self.packing is Packing.PLAIN or len(payload) < _LEAST_BYTES.get(kind, _NEVER_BYTES):
            return payload, Packing.PLAIN
        packed = self._zstd(payload) if self.packing == Packing.ZSTD else _gzip(payload)
        if len(packed) + _SIZE.size >= len(payload):
            return payload, Packing.PLAIN
        return _SIZE.pack(len(payload)) + packed, self.packing

    def _zstd(self, payload: bytes) -> bytes:
        compressor: zstd.ZstdCompressor | None = getattr(self._local, "zstd", None)
        if compressor is None:
            compressor = self._local.zstd = zstd.ZstdCompressor(level=_ZSTD_LEVEL)
        return compressor.compress(payload, zstd.ZstdCompressor.FLUSH_FRAME)


def _gzip(payload: bytes) -> bytes:
    return zlib.compress(payload, _GZIP_LEVEL, _GZIP_WINDOW)


def unpack(kind: int, flags: int, payload: bytes) -> bytes:
    """Give back what was packed; no more memory is used than a record of this kind may hold.

    Raises:
        ValueError: nobody packed it like that.
    """
    packing = flags & _MASK
    if packing == Packing.PLAIN:
        return payload
    if len(payload) < _SIZE.size:
        raise ValueError("a packed record without its size")
    size = int(_SIZE.unpack_from(payload)[0])
    if size > (BODY_BYTES if kind == Kind.BODY else MAX_PAYLOAD_BYTES):
        raise ValueError("a packed record says that it is larger than any")
    try:
        plain = _unpacked(packing, payload[_SIZE.size :], size)
    except (zlib.error, zstd.ZstdError) as error:
        raise ValueError(f"a packed record can't be unpacked: {error}") from error
    if plain is None or len(plain) != size:
        raise ValueError("a packed record has another size than it says")
    return plain


def _unpacked(packing: int, data: bytes, size: int) -> bytes | None:
    """At most one byte too many; None if it doesn't end where the data do."""
    reader: zstd.ZstdDecompressor | zlib._Decompress
    if packing == Packing.ZSTD:
        reader = zstd.ZstdDecompressor(options=_ZSTD_OPTIONS)
        plain = reader.decompress(data, max_length=size + 1)
    elif packing == Packing.GZIP:
        reader = zlib.decompressobj(_GZIP_WINDOW)
        plain = reader.decompress(data, size + 1)
    else:
        raise ValueError("a packed record of a later version")
    return plain if reader.eof and not reader.unused_data else None
