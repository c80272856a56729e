"""A configuration that reads well but can't be put in force at a start: the last good one stands in, and it is told."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.certificates import CertificateAuthority, CertificateFiles
from tests.support.paquebot import Paquebot, running_paquebot
from tests.support.paquebot_config import ALICE, HOSTNAME, PaquebotSettings, Ports, configuration
from tests.support.processes import LOOPBACK, PeerError, PeerProcess

pytestmark = pytest.mark.integration


@pytest.fixture(params=[1, 2], ids=["one worker", "two workers"])
def paquebot(
    request: pytest.FixtureRequest, directory: Path, settings: PaquebotSettings, tmp_path: Path
) -> Iterator[Paquebot]:
    with running_paquebot(directory / tmp_path.name, replace(settings, workers=request.param)) as running:
        running.expected_faults = ("service.fault", "config.rejected")
        yield running


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that somebody else listens on."""
    with socket.create_server((LOOPBACK, 0)) as listening:
        yield int(listening.getsockname()[1])


def moved(paquebot: Paquebot, port: int) -> dict[str, bytes]:
    """The configuration with its MX listener on another port."""
    ports = Ports(port, paquebot.ports.submission, paquebot.ports.admin)
    return configuration(paquebot.directory, ports, paquebot.settings, paquebot.generation + 1)


def mismatched(directory: Path, certificate: CertificateFiles) -> CertificateFiles:
    """A certificate with the key of another."""
    (directory / "other").mkdir(exist_ok=True)
    return replace(certificate, key=CertificateAuthority(directory / "other").issue(HOSTNAME).key)


def restart_on(paquebot: Paquebot, files: dict[str, bytes]) -> None:
    """Start it again with these files as its configuration."""
    assert paquebot.stop() == 0
    paquebot.write(files)
    paquebot.restart()


def assert_refused(paquebot: Paquebot, reason: str) -> None:
    """The generation before is in force and serves; the newest one is named as refused, and why."""
    told = paquebot.config()
    assert told["generation"] == paquebot.generation - 1
    assert reason in told["rejectedReason"]
    assert told["rejectedDigest"] != told["digest"]
    assert paquebot.metric("paquebot_config_last_reload_successful") == 0
    assert paquebot.metric("paquebot_config_reloads_total", result="rejected") == paquebot.settings.workers
    assert len(paquebot.log_lines(event="config.rejected")) == paquebot.settings.workers
    paquebot.send("joe@client.test", [ALICE])
    paquebot.wait_for_delivered(ALICE)


def test_a_port_that_is_taken_leaves_the_last_good_one_in_force_until_a_better_comes(
    paquebot: Paquebot, taken: int
) -> None:
    for _ in range(2):  # what was refused never becomes the last good one
        restart_on(paquebot, moved(paquebot, taken))
        told = paquebot.config()
        assert told["generation"] == 1
        assert f"{LOOPBACK}:{taken}" in told["rejectedReason"]
    paquebot.change()
    assert paquebot.config()["rejectedReason"] == ""
    assert paquebot.metric("paquebot_config_last_reload_successful") == 1


def test_a_certificate_without_its_key_leaves_the_last_good_one_in_force(
    paquebot: Paquebot, directory: Path, certificate: CertificateFiles
) -> None:
    wrong = replace(paquebot.settings, certificate=mismatched(directory, certificate))
    restart_on(paquebot, configuration(paquebot.directory, paquebot.ports, wrong, paquebot.generation + 1))
    assert_refused(paquebot, "server")


def test_ports_that_a_running_process_could_not_try_are_not_kept_as_good(paquebot: Paquebot, taken: int) -> None:
    """It takes all but the port from the new configuration; a start on that alone would fail."""
    paquebot.write(moved(paquebot, taken))
    paquebot.wait_for(lambda: paquebot.config()["generation"] == paquebot.generation, "the new configuration", 5.0)
    assert paquebot.stop() == 0
    paquebot.restart()
    assert_refused(paquebot, f"{LOOPBACK}:{taken}")


def test_without_a_good_one_it_ends_and_says_why(paquebot: Paquebot, directory: Path, taken: int) -> None:
    assert paquebot.stop() == 0
    paquebot.write(moved(paquebot, taken))
    argv = [str(directory / f"empty-{taken}") if word.endswith("/spool") else word for word in paquebot._argv()]
    argv[argv.index("--workers") + 1] = "1"
    process = PeerProcess(argv, directory / f"end-{taken}.log")
    try:
        assert process.wait(30.0) == 1
    except PeerError:
        process.kill()
        raise
    assert f"{LOOPBACK}:{taken}: Address already in use" in process.log()
