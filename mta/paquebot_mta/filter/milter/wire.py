"""Packets of the milter protocol: four bytes of length, a letter, data. No I/O, no meaning.

The protocol has no RFC: Sendmail's libmilter (``mfdef.h``) defines it, Postfix's ``milter8.c`` describes it best.
"""

import struct
from typing import Final

PACKET_BYTES: Final = 1_114_112
"""Longest packet taken: the largest that version 6 can agree on (1 MiB), and some."""
_LENGTH: Final = struct.Struct(">I")


class MilterError(Exception):
    """The other side does not speak the protocol; nothing that follows can be understood."""


class PacketReader:
    """Bytes in, packets out; how the bytes are cut never matters."""

    def __init__(self) -> None:
        """Start with nothing read."""
        self._buffer = bytearray()

    def __len__(self) -> int:
        """Bytes that wait."""
        return len(self._buffer)

    def feed(self, data: bytes) -> None:
        """Take bytes."""
        self._buffer += data

    def next_packet(self) -> tuple[bytes, bytes] | None:
        """Give the letter and the data of one packet, None if none is complete.

        Raises:
            MilterError: it has no letter, or is too long.
        """
        if len(self._buffer) < _LENGTH.size:
            return None
        (length,) = _LENGTH.unpack_from(self._buffer)
        if not 1 <= length <= PACKET_BYTES:
            raise MilterError(f"a packet of {length} bytes")
        end = _LENGTH.size + length
        if len(self._buffer) < end:
            return None
        packet = bytes(self._buffer[_LENGTH.size : end])
        del self._buffer[:end]
        return packet[:1], packet[1:]


def packet(letter: bytes, data: bytes = b"") -> bytes:
    """Make a packet."""
    return _LENGTH.pack(len(data) + 1) + letter + data


def strings(*texts: str | bytes) -> bytes:
    """Make strings, each with a NUL at its end; one inside becomes ``?``."""
    return b"".join(_octets(text).replace(b"\0", b"?") + b"\0" for text in texts)


def split_strings(data: bytes) -> list[str]:
    """Read strings that end with NUL; what is not UTF-8 is replaced."""
    return [text.decode("utf-8", "replace") for text in data.removesuffix(b"\0").split(b"\0")]


def macros(stage: bytes, values: dict[str, str]) -> bytes:
    """Make the packet that tells macros for the command that follows; names of several letters stand in braces."""
    known = ((f"{{{name}}}" if len(name) > 1 else name, value) for name, value in values.items() if value)
    return packet(b"D", stage + b"".join(strings(name, value) for name, value in known))


def _octets(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode("utf-8", "replace")
