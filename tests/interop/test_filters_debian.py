"""Debian's packaged filters, as they are, under Paquebot: signers, scanners and reputation by their authors."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest

from paquebot_mta.config.filters import Filter, Process
from tests.support.dkim_verifier import DkimKey
from tests.support.dns_server import DnsServer
from tests.support.loop_thread import in_thread
from tests.support.paquebot import Paquebot, running_paquebot
from tests.support.paquebot_config import ALICE, PaquebotSettings
from tests.support.processes import peer_directory
from tests.support.requirements import needs_programs
from tests.support.rspamd import running_rspamd
from tests.support.unpacked import needs_unpacked, with_mounts

FOLDER = Path("/usr/libexec/opensmtpd")
pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not (FOLDER / "filter-dkimsign").exists(), reason="no opensmtpd-filter-*; see `make packages`"),
]
HEADER = b"From: joe@far.test\r\nSubject: dots\r\nDate: Sat, 21 Nov 2026 10:00:00 +0000\r\n"
DOTS = HEADER + b"\r\n.one\r\n..two\r\n...\r\nlast\r\n"
NAME_SERVER = "127.71.0.53"


@pytest.fixture
def directory() -> Iterator[Path]:
    with peer_directory() as path:
        yield path


Version = Literal["0.4", "0.5", "0.6", "0.7"]
VERSIONS: tuple[Version, ...] = ("0.4", "0.5", "0.6", "0.7")
"""All that there were; the filters tell them apart by what they are told."""


def _settings(*commands: tuple[str, ...], protocol: Version = "0.7") -> PaquebotSettings:
    kinds = (Process(command=command, protocol=protocol) for command in commands)
    filters = {f"f{number}": Filter(kind=kind) for number, kind in enumerate(kinds)}
    return PaquebotSettings(filters=filters, listener_filters=tuple(filters))


def _crlf(content: bytes) -> bytes:
    return content.replace(b"\n", b"\r\n")


def _send(paquebot: Paquebot, content: bytes, marker: bytes) -> bytes:
    paquebot.send("joe@far.test", [ALICE], content=content).checked()
    return _crlf(paquebot.wait_for_delivered(ALICE, marker)[0])


@needs_programs("perl")
@pytest.mark.parametrize("protocol", VERSIONS)
def test_signatures_of_dkimsign_verify_also_for_lines_that_begin_with_a_dot(directory: Path, protocol: Version) -> None:
    key = DkimKey(directory)
    common = (str(FOLDER / "filter-dkimsign"), "-d", "far.test", "-k", str(key.path), "-s", "s", "-c")
    commands = ((*common, "relaxed/relaxed"), (*common, "simple/simple"))
    with running_paquebot(directory / "p", _settings(*commands, protocol=protocol)) as it:
        for number in range(3):
            content = DOTS.replace(b"Subject: dots", b"Subject: dots %d" % number)
            signed = _send(it, content, b"dots %d" % number)
            assert content in signed
            assert key.verify(signed) == ["far.test pass"] * 2
            assert "fail" in key.verify(signed.replace(b"..two", b".two"))[0]
        assert it.log_lines(event="filter.crashed") == []


@needs_programs("rspamd")
@pytest.mark.parametrize("protocol", VERSIONS)
def test_filter_rspamd_refuses_and_marks_as_rspamd_says(directory: Path, protocol: Version) -> None:
    with (
        running_rspamd(directory) as url,
        running_paquebot(
            directory / "p", _settings((str(FOLDER / "filter-rspamd"), "-url", url), protocol=protocol)
        ) as it,
    ):
        marked = _send(it, b"Subject: marked\r\nX-Points: 7\r\n\r\n.dot\r\n", b"Subject: marked")
        assert b"\r\nX-Spam: yes\r\n" in b"\r\n" + marked
        assert b"\r\nX-Spam-Score: 7" in marked
        assert marked.endswith(b"\r\n\r\n.dot\r\n")
        assert b"X-Spam" not in _send(it, b"Subject: clean\r\n\r\nhello\r\n", b"Subject: clean")
        refused = it.send("joe@far.test", [ALICE], content=b"Subject: bad\r\nX-Words: reject\r\n\r\nhello\r\n")
        assert "<** 550 because of reject" in refused.transcript
        later = it.send("joe@far.test", [ALICE], content=b"Subject: soft\r\nX-Words: soft reject\r\n\r\nhello\r\n")
        assert "<** 451 because of soft reject" in later.transcript


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root for the port of a name server")
@needs_unpacked()
def test_filter_senderscore_blocks_and_marks_by_the_client_s_score(directory: Path) -> None:
    resolv = directory / "resolv.conf"
    resolv.write_text(f"nameserver {NAME_SERVER}\noptions timeout:1 attempts:1\n")
    zones = {"1.0.0.127.score.senderscore.com": {"A": ["127.0.4.60"]}}
    command = [str(FOLDER / "filter-senderscore"), "-blockBelow", "50", "-junkBelow", "80", "-scoreHeader"]
    inside = tuple(with_mounts(command, {Path("/etc/resolv.conf"): resolv}))
    with (
        in_thread(DnsServer(zones, host=NAME_SERVER, port=53)),
        running_paquebot(directory / "p", _settings(inside)) as it,
    ):
        marked = _send(it, b"Subject: score\r\n\r\nhello\r\n", b"Subject: score")
        assert b"X-SenderScore: 60\r\n" in marked
        assert b"X-Spam: yes\r\n" in marked
