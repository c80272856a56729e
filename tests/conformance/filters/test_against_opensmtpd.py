"""The same filter under Debian's OpenSMTPD and under Paquebot, with the same dialogs: it is told the same.

Where it isn't, the difference stands in `DIFFERENCES`, with its reason; nothing else may differ.
"""

from __future__ import annotations

import pytest

from tests.support.paquebot_config import ALICE
from tests.support.unpacked import needs_unpacked

from .conftest import Server, needs_python
from .dialogs import AUTH, AUTHENTICATED, DIALOGS, ENCRYPTED, Step
from .differences import mend

pytestmark = [
    pytest.mark.integration,
    needs_unpacked("opensmtpd"),
    needs_python,
    pytest.mark.timeout(120),
]
TLS_AND_AUTH: tuple[Step, ...] = (
    ("EHLO client.test", "250"), ("STARTTLS", "220"), ("TLS", ""), ("EHLO client.test", "250"),
    ("AUTH PLAIN AGpvZQBub3RoaW5n", "535"), (AUTH, "235"), ("QUIT", "221"),
)  # fmt: skip
TLS_AND_AUTH_QUESTIONS = [
    "ehlo|client.test", "starttls|", "ehlo|client.test", "auth|PLAIN", "auth|PLAIN", "quit|",
]  # fmt: skip
TLS_AND_AUTH_REPORTS = [
    "protocol-client|EHLO client.test", "filter-response|ehlo|proceed", "link-identify|EHLO|client.test",
    "protocol-server|250",
    "protocol-client|STARTTLS", "filter-response|tls|proceed", "protocol-server|220", "link-tls|TLSv1.2:CIPHER:BITS",
    "protocol-client|EHLO client.test", "filter-response|ehlo|proceed", "link-identify|EHLO|client.test",
    "protocol-server|250",
    "protocol-client|AUTH PLAIN ********", "filter-response|auth|proceed", "link-auth|fail|joe", "protocol-server|535",
    "protocol-client|AUTH PLAIN ********", "filter-response|auth|proceed", f"link-auth|pass|{ALICE}",
    "protocol-server|235",
    "protocol-client|QUIT", "filter-response|quit|proceed", "protocol-server|221", "link-disconnect|",
]  # fmt: skip


@pytest.mark.parametrize("name", [*DIALOGS, *ENCRYPTED])
def test_a_filter_is_told_what_opensmtpd_tells_it(name: str, servers: tuple[Server, Server, Server]) -> None:
    theirs, mx, _ = servers
    _compare(name, (DIALOGS | ENCRYPTED)[name], theirs, mx)


@pytest.mark.parametrize("name", AUTHENTICATED)
def test_a_filter_is_told_of_users_what_opensmtpd_tells_it(name: str, servers: tuple[Server, Server, Server]) -> None:
    theirs, _, submission = servers
    _compare(name, AUTHENTICATED[name], theirs, submission)


def _compare(name: str, dialog: tuple[Step, ...], theirs: Server, ours: Server) -> None:
    them, us = theirs.told(dialog), ours.told(dialog)
    mend(name, them, us)
    assert us.questions == them.questions
    assert us.content == them.content
    assert us.reports == them.reports


def test_starttls_and_auth_are_told_as_in_opensmtpd_s_traces(servers: tuple[Server, Server, Server]) -> None:
    told = servers[2].told(TLS_AND_AUTH)
    assert told.questions == ["connect|localhost|127.0.0.1", *TLS_AND_AUTH_QUESTIONS] or told.questions == [
        "connect|<unknown>|127.0.0.1",
        *TLS_AND_AUTH_QUESTIONS,
    ]
    assert told.reports[4:] == TLS_AND_AUTH_REPORTS
