"""Debian's OpenSMTPD and Paquebot with the same filters, and what these were told."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from paquebot_mta.config.filters import Filter, Process
from tests.support.certificates import CertificateAuthority
from tests.support.next_hop import Hop, Login
from tests.support.opensmtpd import ANONYMOUS, OpenSmtpdSettings, running_opensmtpd
from tests.support.paquebot import running_paquebot
from tests.support.paquebot_config import ALICE, HOSTNAME, PASSWORD, PaquebotSettings
from tests.support.processes import peer_directory, wait_until
from tests.support.smtp_client import SmtpClient

from .dialogs import Step
from .streams import Told, sessions

PYTHON = "/usr/bin/python3"
needs_python = pytest.mark.skipif(not Path(PYTHON).exists(), reason="no Debian python3, which other users may run")
PROBE = Path(__file__).with_name("probe.py")


@dataclass
class Server:
    """A server under test: where it listens, and what its filter noted."""

    port: int
    log: Path

    def told(self, dialog: tuple[Step, ...], source: str = "", greeting: str = "220") -> Told:
        """Run a dialog and give what the filter was told of it."""
        before = len(sessions(self.lines()))
        _run(self.port, dialog, source, greeting)
        # Reports and questions come by different processes; the end of the session is the last report.
        wait_until(lambda: _has_ended(self.lines(), before), "the end of the session")
        return sessions(self.lines())[before]

    def lines(self) -> list[str]:
        """Whole lines of the log so far."""
        return self.log.read_text(encoding="latin-1").split("\n")[:-1]


def _has_ended(lines: list[str], before: int) -> bool:
    found = sessions(lines)
    return len(found) > before and found[before].reports[-1:] == ["link-disconnect|"]


def _run(port: int, dialog: tuple[Step, ...], source: str, greeting: str) -> None:
    with SmtpClient(port, source=source) as client:
        client.expect(greeting)
        for said, code in dialog:
            if said == "TLS":
                client.start_tls(_context())
            elif said == "CLOSE":
                return
            elif code:
                client.line(said)
                client.expect(code)
            else:
                client.send(said.encode())


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[Server, Server, Server]]:
    """OpenSMTPD, Paquebot's MX listener and its submission listener, with the probe as only filter."""
    with running_pair({}, {}) as pair:
        yield pair


@contextmanager
def running_pair(
    builtin_theirs: Mapping[str, str], builtin_ours: Mapping[str, Filter]
) -> Iterator[tuple[Server, Server, Server]]:
    """Run both with the probe behind built-in filters."""
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
            hostname=HOSTNAME, filter_command=" ".join(commands[0]), ciphers=ANONYMOUS, builtin_filters=builtin_theirs,
        )  # fmt: skip
        ours = PaquebotSettings(
            certificate=certificate,
            filters={**builtin_ours, "probe": Filter(kind=Process(command=commands[1]))},
            listener_filters=(*builtin_ours, "probe"),
        )
        with running_opensmtpd(directory / "o", theirs) as them, running_paquebot(directory / "p", ours) as us:
            yield Server(them.port, logs[0]), Server(us.ports.mx, logs[1]), Server(us.ports.submission, logs[1])


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ALL:@SECLEVEL=0")
    return context
