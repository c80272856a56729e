"""Whole SMTP dialogs with a live process, as text files in `dialogs/`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from paquebot_mta.config.service import Limits
from tests.support.certificates import CertificateFiles
from tests.support.dialogs import run_dialog
from tests.support.paquebot import Paquebot, running_paquebot
from tests.support.paquebot_config import PaquebotSettings

pytestmark = pytest.mark.integration

DIALOGS = sorted((Path(__file__).parent / "dialogs").glob("*.txt"))
LIMITS = Limits(message_bytes=20_000, recipients=5, errors=10, command_timeout_seconds=2)


@pytest.fixture(scope="module")
def paquebot(directory: Path, settings: PaquebotSettings) -> Iterator[Paquebot]:
    with running_paquebot(directory / "paquebot", replace(settings, limits=LIMITS)) as running:
        yield running


@pytest.mark.parametrize("path", DIALOGS, ids=lambda path: path.stem)
def test_dialog(path: Path, paquebot: Paquebot, certificate: CertificateFiles) -> None:
    run_dialog(path, paquebot.ports.mx, tls=certificate.client_context())


def test_nothing_that_was_smuggled_arrives(paquebot: Paquebot, certificate: CertificateFiles) -> None:
    for path in DIALOGS:
        if path.stem.startswith("smuggling"):
            run_dialog(path, paquebot.ports.mx)
    paquebot.wait_for_empty_queue()
    everything = b"".join(paquebot.delivered("alice@example.test") + paquebot.delivered("bob@example.test"))
    assert b"Subject: smuggled" not in everything
    assert b"Subject: second" not in everything
