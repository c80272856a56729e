"""Password hashes: the usual kinds, compared with what other implementations made."""

import time

import argon2
import bcrypt
import pytest

from paquebot_mta.accept.credentials import NOBODY, PasswordChecker, verify
from paquebot_mta.accept.shacrypt import crypt
from paquebot_mta.config.listeners import Listener, ServerAuth
from tests.mta.accept.support import DictTable, Rules, make_policy

# Made by the C library's crypt(3); the first is in the scheme's specification, too.
GLIBC = [
    (
        b"Hello world!",
        "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1",
    ),
    (
        b"Hello world!",
        "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5",
    ),
    (
        b"xy" * 40,
        "$6$rounds=1400$anotherlongsalt$ZadVNScg8JMNZkhBSWhktdSHps505F0796QVuFuAF6y1BUQ6YrFAQAli8YvnMBAIZ/LLzRfcQ/b6k0mVcIgjf/",
    ),
    (
        b"a",
        "$5$rounds=1400$x$VsGC/TMDboGTLPIeAmE8/Mbz8fZpSdsH1G8Nqdq9yYB",
    ),
]


@pytest.mark.parametrize(("password", "stored"), GLIBC)
def test_sha_crypt_agrees_with_the_c_library(password: bytes, stored: str) -> None:
    assert crypt(password, stored) == stored
    assert verify(password, stored)
    assert not verify(password + b".", stored)


@pytest.mark.parametrize(
    "stored", ["", "$6$salt", "$1$x$y", "*", "$6$rounds=999999999$salt$" + "a" * 86, "$2b$nonsense"]
)
def test_what_is_no_hash_fits_nothing(stored: str) -> None:
    assert not verify(b"password", stored)
    assert not verify(b"", stored)


def test_bcrypt_and_argon2_hashes_fit_their_password_only() -> None:
    hashes = [bcrypt.hashpw(b"right", bcrypt.gensalt(4)).decode(), argon2.PasswordHasher(1, 8, 1).hash("right")]
    assert [verify(b"right", stored) for stored in hashes] == [True, True]
    assert [verify(b"Right", stored) for stored in hashes] == [False, False]


def test_bcrypt_takes_long_passwords_as_others_do() -> None:
    stored = bcrypt.hashpw(b"x" * 72, bcrypt.gensalt(4)).decode()
    assert verify(b"x" * 100, stored)


def test_an_unknown_name_costs_what_a_wrong_password_costs() -> None:
    started = time.process_time()
    assert not verify(b"password", NOBODY)
    assert time.process_time() - started > 0.005


async def test_every_failure_is_delayed_by_a_random_time() -> None:
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    stored = bcrypt.hashpw(b"right", bcrypt.gensalt(4)).decode()
    listener = Listener(name="mx", auth=ServerAuth(mode="Required", credentials="users"))
    policy = make_policy(Rules(), listener, tables={"users": DictTable({"bob": stored})}).listeners["mx"]
    checker = PasswordChecker(lambda bits: 1 << bits - 1, sleep)
    results = [await checker.authenticate(policy, name, b"right") for name in (b"bob", b"Bob", b"nobody")]
    checker.close()
    assert [each.success for each in results] == [True, False, False]
    assert waited == [0.5, 0.5]
