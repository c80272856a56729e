"""Passwords: looked up in a credentials table and checked in a few threads, never on the event loop.

A name that isn't there costs as much as a wrong password, and every failure is delayed by a random time, so that
neither tells which names exist. Neither names nor passwords are folded.
"""

import asyncio
import hmac
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import argon2
import bcrypt
from aiosmtpd.smtp import AuthResult, LoginPassword

from paquebot_mta.accept import shacrypt
from paquebot_mta.accept.policy import ListenerPolicy
from paquebot_mta.mail.ids import RandomBits
from paquebot_mta.table.lookup import Table, TableError

_THREADS: Final = 2
_WAITING: Final = 64
"""Checks that may wait for a thread; more are answered 454, because their clients would be gone anyway."""
_FAULT: Final = "454 4.7.0 Temporary authentication failure"
_BCRYPT_BYTES: Final = 72
NOBODY: Final = "$2b$10$27/uFee8uSO0JKPhsttmv.acB.uIST3IGOrIOG/bKt2ErbMyQuZZu"
"""A hash of random bytes: what names are checked against before the first known one came by."""


class PasswordChecker:
    """Authenticates against the credentials table of a listener: ``user -> hash``, or ``user -> user:hash``."""

    def __init__(self, randbits: RandomBits, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        """Start no thread yet; ``sleep`` waits a number of seconds."""
        self._randbits = randbits
        self._sleep = sleep
        self._pool = ThreadPoolExecutor(_THREADS, "password")
        self._waiting = 0
        self._last_seen = NOBODY  # so that unknown names cost what known ones do

    async def authenticate(self, policy: ListenerPolicy, login: bytes, password: bytes) -> AuthResult:
        """Judge a name and a password; ``message`` is set if that was not possible."""
        if policy.credentials is None or self._waiting >= _WAITING:
            return AuthResult(success=False, handled=False, message=_FAULT)
        self._waiting += 1
        try:
            good = await self._check(policy.credentials, login.decode(), password)
        except TableError:
            return AuthResult(success=False, handled=False, message=_FAULT)
        finally:
            self._waiting -= 1
        if good:
            return AuthResult(success=True, auth_data=LoginPassword(login, b""))
        await self._delay()
        return AuthResult(success=False, handled=False)

    async def _check(self, table: Table, name: str, password: bytes) -> bool:
        value = await table.lookup("credentials", name)
        stored = _hash_of(value, name)
        if stored is not None:
            self._last_seen = stored
        loop = asyncio.get_running_loop()
        fits = await loop.run_in_executor(self._pool, verify, password, stored or self._last_seen)
        return fits and stored is not None

    async def _delay(self) -> None:
        """Wait up to a second."""
        await self._sleep(self._randbits(16) / 65_536)

    def close(self) -> None:
        """Let the threads end."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def verify(password: bytes, stored: str) -> bool:
    """Compare a password with its hash (bcrypt, argon2, SHA-crypt); slow by design. An unusable hash fits nothing."""
    try:
        if stored.startswith(("$2a$", "$2b$", "$2y$")):
            return bcrypt.checkpw(password[:_BCRYPT_BYTES], stored.encode())
        if stored.startswith("$argon2"):
            return argon2.PasswordHasher().verify(stored, password)
        return hmac.compare_digest(shacrypt.crypt(password, stored).encode(), stored.encode())
    except (ValueError, argon2.exceptions.Argon2Error, argon2.exceptions.InvalidHashError):
        return False


def _hash_of(value: str | None, name: str) -> str | None:
    """Take the hash from ``hash`` or ``user:hash``; a value without a hash is no entry."""
    if value is None:
        return None
    stored = value.removeprefix(f"{name}:") if not value.startswith("$") else value
    stored = stored if stored.startswith("$") else stored.rpartition(":")[2]
    return stored if stored.startswith("$") else None
