"""The same filter under Debian's OpenSMTPD and under Paquebot, with the same dialogs: it is told the same.

Where it isn't, the difference stands in `DIFFERENCES`, with its reason; nothing else may differ.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from paquebot_mta.config.filters import Filter, Process
from tests.support.certificates import CertificateAuthority
from tests.support.next_hop import Hop, Login
from tests.support.opensmtpd import OpenSmtpdSettings, running_opensmtpd
from tests.support.paquebot import running_paquebot
from tests.support.paquebot_config import ALICE, HOSTNAME, PASSWORD, PaquebotSettings
from tests.support.processes import peer_directory, wait_until
from tests.support.smtp_client import SmtpClient
from tests.support.unpacked import needs_unpacked

from .differences import mend
from .streams import Told, sessions

PYTHON = "/usr/bin/python3"
pytestmark = [
    pytest.mark.integration,
    needs_unpacked("opensmtpd"),
    pytest.mark.skipif(not Path(PYTHON).exists(), reason="no Debian python3, which other users may run"),
]
PROBE = Path(__file__).with_name("probe.py")
AUTH = f"AUTH PLAIN {base64.b64encode(f'{chr(0)}{ALICE}{chr(0)}{PASSWORD}'.encode()).decode()}"
CONTENT = "Subject: a|b\r\n\r\n..one\r\n...two\r\n\r\nlast\r\n."
Step = tuple[str, str]
"""What the client says, and how the last line of the reply begins; `TLS` and `CLOSE` are done."""
DIALOGS: dict[str, tuple[Step, ...]] = {
    "one message": (
        ("EHLO client.test", "250"), ("MAIL FROM:<a@else.test>", "250"), ("RCPT TO:<b@far.test>", "250"),
        ("DATA", "354"), (CONTENT, "250"), ("QUIT", "221"),
    ),
    "null reverse-path, two recipients, two messages": (
        ("HELO client.test", "250"), ("MAIL FROM:<>", "250"), ("RCPT TO:<b@far.test>", "250"),
        ("RCPT TO:<c@far.test>", "250"), ("DATA", "354"), (CONTENT, "250"), ("MAIL FROM:<a@else.test>", "250"),
        ("RCPT TO:<b@far.test>", "250"), ("DATA", "354"), (CONTENT, "250"), ("QUIT", "221"),
    ),
    "refused recipient, then reset": (
        ("EHLO client.test", "250"), ("MAIL FROM:<a@else.test>", "250"), ("RCPT TO:<refused@far.test>", "550"),
        ("RCPT TO:<b@far.test>", "250"), ("NOOP", "250"), ("RSET", "250"), ("QUIT", "221"),
    ),
    "rewritten recipient": (
        ("EHLO client.test", "250"), ("MAIL FROM:<a@else.test>", "250"), ("RCPT TO:<moved@far.test>", "250"),
        ("DATA", "354"), (CONTENT, "250"), ("QUIT", "221"),
    ),
    "refused content": (
        ("EHLO client.test", "250"), ("MAIL FROM:<a@else.test>", "250"), ("RCPT TO:<b@far.test>", "250"),
        ("DATA", "354"), ("Subject: x\r\n\r\nrefuse me\r\n.", "554"), ("QUIT", "221"),
    ),
    "disconnected": (("EHLO bad.test", "550"),),
    "quit within a transaction": (
        ("EHLO client.test", "250"), ("MAIL FROM:<a@else.test>", "250"), ("RCPT TO:<b@far.test>", "250"),
        ("QUIT", "221"),
    ),
    "gone within a transaction": (
        ("EHLO client.test", "250"), ("MAIL FROM:<a@else.test>", "250"), ("RCPT TO:<b@far.test>", "250"), ("CLOSE", ""),
    ),
    "gone within content": (
        ("EHLO client.test", "250"), ("MAIL FROM:<a@else.test>", "250"), ("RCPT TO:<b@far.test>", "250"),
        ("DATA", "354"), ("Subject: half\r\n", ""), ("CLOSE", ""),
    ),
    "errors": (
        ("MAIL FROM:<a@else.test>", "5"), ("EHLO client.test", "250"), ("RCPT TO:<b@far.test>", "5"), ("NONSENSE", "5"),
        ("MAIL FROM:a b", "5"), ("QUIT", "221"),
    ),
}  # fmt: skip


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
    "protocol-client|STARTTLS", "filter-response|tls|proceed", "protocol-server|220", "link-tls|TLSv1.3:CIPHER:BITS",
    "protocol-client|EHLO client.test", "filter-response|ehlo|proceed", "link-identify|EHLO|client.test",
    "protocol-server|250",
    "protocol-client|AUTH PLAIN ********", "filter-response|auth|proceed", "link-auth|fail|joe", "protocol-server|535",
    "protocol-client|AUTH PLAIN ********", "filter-response|auth|proceed", f"link-auth|pass|{ALICE}",
    "protocol-server|235",
    "protocol-client|QUIT", "filter-response|quit|proceed", "protocol-server|221", "link-disconnect|",
]  # fmt: skip


@dataclass
class Server:
    """A server under test: where it listens, and what its filter noted."""

    port: int
    log: Path

    def told(self, dialog: tuple[Step, ...]) -> Told:
        """Run a dialog and give what the filter was told of it."""
        before = len(sessions(self.lines()))
        _run(self.port, dialog)
        # Reports and questions come by different processes; the end of the session is the last report.
        wait_until(lambda: _has_ended(self.lines(), before), "the end of the session")
        return sessions(self.lines())[before]

    def lines(self) -> list[str]:
        """Whole lines of the log so far."""
        return self.log.read_text(encoding="latin-1").split("\n")[:-1]


def _has_ended(lines: list[str], before: int) -> bool:
    found = sessions(lines)
    return len(found) > before and found[before].reports[-1:] == ["link-disconnect|"]


def _run(port: int, dialog: tuple[Step, ...]) -> None:
    with SmtpClient(port) as client:
        client.expect("220")
        for said, code in dialog:
            if said == "TLS":
                client.start_tls()
            elif said == "CLOSE":
                return
            elif code:
                client.line(said)
                client.expect(code)
            else:
                client.send(said.encode())


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[Server, Server, Server]]:
    """OpenSMTPD, Paquebot's MX listener and its submission listener."""
    with peer_directory() as directory:
        logs = [directory / name for name in ("theirs", "ours")]
        for log in logs:
            log.touch()
        program = directory / "probe.py"
        program.write_bytes(PROBE.read_bytes())
        commands = [(PYTHON, "-I", str(program), str(log)) for log in logs]
        certificate = CertificateAuthority(directory).issue(HOSTNAME)
        theirs = OpenSmtpdSettings(
            default=Hop(1), certificate=certificate, login=Login(ALICE, PASSWORD), only_queues=True,
            hostname=HOSTNAME, filter_command=" ".join(commands[0]),
        )  # fmt: skip
        ours = PaquebotSettings(
            certificate=certificate,
            filters={"probe": Filter(kind=Process(command=commands[1]))},
            listener_filters=("probe",),
        )
        with running_opensmtpd(directory / "o", theirs) as them, running_paquebot(directory / "p", ours) as us:
            yield Server(them.port, logs[0]), Server(us.ports.mx, logs[1]), Server(us.ports.submission, logs[1])


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", DIALOGS)
def test_a_filter_is_told_what_opensmtpd_tells_it(name: str, servers: tuple[Server, Server, Server]) -> None:
    theirs, mx, _ = servers
    dialog = DIALOGS[name]
    them = theirs.told(dialog)
    us = mx.told(dialog)
    mend(name, them, us)
    assert us.questions == them.questions
    assert us.content == them.content
    assert us.reports == them.reports


def test_starttls_and_auth_are_told_as_in_opensmtpd_s_traces(servers: tuple[Server, Server, Server]) -> None:
    """Debian's OpenSMTPD can't be a TLS server here, so its traces were written down."""
    told = servers[2].told(TLS_AND_AUTH)
    assert told.questions == ["connect|localhost|127.0.0.1", *TLS_AND_AUTH_QUESTIONS] or told.questions == [
        "connect|<unknown>|127.0.0.1",
        *TLS_AND_AUTH_QUESTIONS,
    ]
    assert told.reports[4:] == TLS_AND_AUTH_REPORTS
