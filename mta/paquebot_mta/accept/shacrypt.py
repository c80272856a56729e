"""SHA-crypt, ``$5$`` and ``$6$``: as in U. Drepper's "Unix crypt using SHA-256 and SHA-512" (version 0.6, 2016).

The standard library's own module is gone from Python 3.13 on. Slow by design: never on the event loop.
"""

import hashlib
import re
from collections.abc import Callable
from typing import Any, Final

_FORM: Final = re.compile(
    r"\$([56])\$(?:rounds=([0-9]{1,9})\$)?([^$]{0,16})[^$]*\$(?:[./0-9A-Za-z]{43}|[./0-9A-Za-z]{86})"
)
_ALPHABET: Final = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_ROUNDS: Final = (1_000, 5_000, 999_999_999)  # least, default, most
MAX_ROUNDS: Final = 1_000_000
"""More rounds than this would keep a thread busy for seconds; such a hash is refused."""


def crypt(password: bytes, setting: str) -> str:
    """Hash a password as the setting (any hash made by this scheme) says; equal to the setting's hash if it fits.

    Raises:
        ValueError: not such a setting, or too many rounds.
    """
    found = _FORM.fullmatch(setting)
    if found is None:
        raise ValueError("not a SHA-crypt hash")
    scheme, given, salt = found[1], found[2], found[3]
    rounds = min(max(int(given or _ROUNDS[1]), _ROUNDS[0]), _ROUNDS[2])
    if rounds > MAX_ROUNDS:
        raise ValueError("too many rounds")
    make = hashlib.sha256 if scheme == "5" else hashlib.sha512
    digest = _digest(make, password, salt.encode(), rounds)
    prefix = f"${scheme}$" + (f"rounds={rounds}$" if given else "")
    return f"{prefix}{salt}${_encode(digest)}"


def _digest(make: Callable[..., Any], password: bytes, salt: bytes, rounds: int) -> bytes:
    digest = _start(make, password, salt)
    p = _stretch(make(password * len(password)).digest(), len(password))
    s = _stretch(make(salt * (16 + digest[0])).digest(), len(salt))
    for number in range(rounds):
        odd = number & 1
        parts = (p if odd else digest, s if number % 3 else b"", p if number % 7 else b"", digest if odd else p)
        digest = make(b"".join(parts)).digest()
    return digest


def _start(make: Callable[..., Any], password: bytes, salt: bytes) -> bytes:
    other = make(password + salt + password).digest()
    start = make(password + salt + _stretch(other, len(password)))
    length = len(password)
    while length:
        start.update(other if length & 1 else password)
        length >>= 1
    digest: bytes = start.digest()
    return digest


def _stretch(digest: bytes, length: int) -> bytes:
    return (digest * (length // len(digest) + 1))[:length]


def _encode(digest: bytes) -> str:
    """Spell the bytes in the scheme's own order and alphabet, three bytes to four characters."""
    third = len(digest) // 3
    order = [0, third, 2 * third]
    text = ""
    for _ in range(third):
        text += _spell(digest[order[0]] << 16 | digest[order[1]] << 8 | digest[order[2]], 4)
        order = _next(order, len(digest))
    return text + (_spell(digest[31] << 8 | digest[30], 3) if len(digest) == 32 else _spell(digest[63], 2))


def _next(order: list[int], size: int) -> list[int]:
    """Step all three positions and rotate them: left for SHA-512, right for SHA-256."""
    stepped = [each + 1 for each in order]
    return [*stepped[1:], stepped[0]] if size == 64 else [stepped[2], *stepped[:2]]


def _spell(value: int, length: int) -> str:
    return "".join(_ALPHABET[value >> 6 * number & 63] for number in range(length))
