"""Content that rots on the volume: its sender learns that it will not come, and somebody is woken."""

from __future__ import annotations

from collections.abc import Iterator
from email import message_from_bytes
from pathlib import Path

import pytest

from paquebot_mta.config.service import Queue
from tests.support.paquebot import Paquebot, running_paquebot
from tests.support.paquebot_config import ALICE, BOB, PaquebotSettings

pytestmark = pytest.mark.integration

MARKER = b"intact until it lay there"
TTL_SECONDS = 6


def rot(directory: Path) -> None:
    """Change a byte of the content, as a disk does that forgets."""
    for segment in directory.rglob("seg-*"):
        data = segment.read_bytes()
        if MARKER in data:
            segment.write_bytes(data.replace(MARKER, MARKER.swapcase()))
            return
    raise AssertionError("no segment holds it")


@pytest.fixture
def damaged(tmp_path: Path) -> Iterator[Paquebot]:
    """A service that starts with a message in its queue whose content is damaged."""
    settings = PaquebotSettings(queue=Queue(minimum_free_percent=0, ttl_seconds=TTL_SECONDS))
    with running_paquebot(tmp_path, settings) as paquebot:
        paquebot.expected_faults = ("queue.corrupt",)
        paquebot.cli("pause", "mda").checked()
        paquebot.send(ALICE, [BOB], content=b"Subject: rots\r\n\r\n" + MARKER + b"\r\n")
        paquebot.kill()
        rot(tmp_path)
        paquebot.restart()
        yield paquebot


def test_a_sender_is_told_of_what_can_not_be_read_any_more(damaged: Paquebot) -> None:
    """It was tried for ever, in flight, and its sender never heard of it."""
    (report,) = damaged.wait_for_delivered(ALICE, b"multipart/report", timeout=4 * TTL_SECONDS)
    found = message_from_bytes(report)
    assert "Final-Recipient: rfc822; bob@example.test" in found.as_string()
    assert MARKER.swapcase() not in report
    damaged.wait_for_empty_queue()
    assert damaged.delivered(BOB) == []


def test_damage_is_counted_and_told_once(damaged: Paquebot) -> None:
    """The counter that the alert looks at stood at 0 whatever was found."""
    damaged.wait_for_log("queue.corrupt")
    damaged.wait_for_delivered(ALICE, b"multipart/report", timeout=4 * TTL_SECONDS)
    assert len(damaged.log_lines(event="queue.corrupt")) == 1
    assert damaged.metric("paquebot_queue_corrupt_total") >= 1
