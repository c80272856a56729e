"""pytest plugin for a run of aiosmtpd's own tests: our session in place of theirs, replies compared by code.

The texts of replies are OpenSMTPD's with enhanced codes (RFC 2034), so that no text of aiosmtpd's could fit; its codes
are compared. A test that ``differences.toml`` names must fail, every other one must pass.
"""

import re
import smtplib
import socket
import sys
import tomllib
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from types import ModuleType
from typing import Any

import aiosmtpd.controller
import aiosmtpd.smtp
import pytest
from aiosmtpd.testing.statuscodes import StatusCode

from tests.conformance.aiosmtpd.session import CompatSession

DIFFERENCES = Path(__file__).with_name("differences.toml")


def _resource_filename(package: str, name: str) -> str:
    return str(files(package) / name)


def _same_code(expected: Any, reply: Any) -> bool:
    return bool(expected[0] == reply[0])


def _substitute() -> None:
    """Before the tests are imported."""
    resources = ModuleType("pkg_resources")  # not part of newer setuptools
    resources.resource_filename = _resource_filename  # type: ignore[attr-defined]
    sys.modules["pkg_resources"] = resources
    for module in (aiosmtpd.smtp, aiosmtpd.controller):
        module.SMTP = CompatSession  # type: ignore[attr-defined]
    StatusCode.__eq__ = _same_code  # type: ignore[method-assign]
    StatusCode.__ne__ = lambda expected, reply: not _same_code(expected, reply)  # type: ignore[method-assign]


_substitute()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def pytest_sessionstart(session: pytest.Session) -> None:
    """Let controllers listen where nobody else does."""
    from aiosmtpd.tests.conftest import HostPort

    HostPort.__new__.__defaults__ = ("localhost", _free_port())


@pytest.fixture(autouse=True)
def _untouched_client() -> Iterator[None]:
    """Put the client library back as it was: a test that changes it and fails would spoil those behind it."""
    known = smtplib._fix_eols, smtplib._quote_periods, smtplib.SMTP.data  # type: ignore[attr-defined]
    yield
    smtplib._fix_eols, smtplib._quote_periods, smtplib.SMTP.data = known  # type: ignore[attr-defined,method-assign]


def differences() -> dict[str, str]:
    """Reason by regular expression, for all tests that must fail."""
    groups = tomllib.loads(DIFFERENCES.read_text(encoding="utf-8"))["difference"]
    return {pattern: group["reason"] for group in groups for pattern in group["tests"]}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Expect the listed tests to fail."""
    reasons = {re.compile(pattern): reason for pattern, reason in differences().items()}
    unused = set(reasons)
    for item in items:
        name = item.nodeid.rpartition("tests/")[2]
        for pattern in (each for each in reasons if each.fullmatch(name)):
            unused.discard(pattern)
            item.add_marker(pytest.mark.xfail(reason=reasons[pattern], strict=True))
    if unused:
        raise pytest.UsageError(f"differences.toml names tests that do not exist: {[each.pattern for each in unused]}")
