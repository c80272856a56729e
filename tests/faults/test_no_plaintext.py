"""An encrypted queue holds nothing of the mail in the clear, whenever it dies; and nothing is lost by that.

The process takes mail under load while the next hop refuses, is killed (-9) at a random moment and started again with
another key ring or compression; after each death all files and names below the spool are searched for what the mail
was made of. `PAQUEBOT_MARKER_KILLS` says how often.
"""

from __future__ import annotations

import base64
import json
import os
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from paquebot_mta.config.service import Queue
from tests.faults.books import balance
from tests.support.fake_mx import FakeMx
from tests.support.fake_mx_script import Script
from tests.support.load import Load, Witness, run_load
from tests.support.loop_thread import in_thread
from tests.support.paquebot import Paquebot, running_paquebot
from tests.support.paquebot_config import FAR, PaquebotSettings

pytestmark = [pytest.mark.crash, pytest.mark.timeout(300)]

KILLS = int(os.environ.get("PAQUEBOT_MARKER_KILLS", "3"))
NAME = "marker-of-the-mail"
RECIPIENT = f"secret-recipient@{FAR}"
MARKERS = (NAME.encode(), b"secret-recipient", b"end of body", b"client.test", FAR.encode(), b"not now")
REFUSING = Script(replies={"RCPT": "450 4.2.1 not now"})


def ring(*kids: int) -> str:
    keys = {kid: base64.b64encode(random.Random(kid).randbytes(32)).decode() for kid in kids}
    return json.dumps([{"id": n, "key": key, "createdAt": f"2026-01-{n:02}T00:00:00Z"} for n, key in keys.items()])


def queue(key_ring: str, compression: Any = "Zstd") -> Queue:
    return Queue(minimum_free_percent=0, key_ring=key_ring, compression=compression)


def way(number: int) -> Queue:
    """What the queue is sealed and packed with at its n-th start: each time by one key more."""
    return queue(ring(*range(1, number + 2)), ("Zstd", "Gzip", "None")[number % 3])


@pytest.fixture
def far_mx() -> Iterator[FakeMx]:
    with in_thread(FakeMx(REFUSING)) as server:
        yield server


@pytest.fixture
def settings(settings: PaquebotSettings) -> PaquebotSettings:
    """Of several workers, each queue sealed."""
    return replace(settings, workers=2, queue=way(0))


def found_below(spool: Path) -> list[str]:
    """Markers with the files that hold them, or whose names do."""
    hits = []
    for path in spool.rglob("*"):
        text = str(path.relative_to(spool)).encode() + (path.read_bytes() if path.is_file() else b"")
        hits += [f"{marker!r} in {path}" for marker in MARKERS if marker in text]
    return hits


def in_flight(paquebot: Paquebot) -> int:
    """How many are with a sender, or wait for a connection."""
    (stats,) = json.loads(paquebot.cli("show", "stats", "--json").checked().stdout)
    return int(stats["scheduler.envelope.inflight"])


def kill_under_load(paquebot: Paquebot, dice: random.Random, number: int) -> Witness:
    load = Load(
        sessions=8,
        messages=100_000,
        length_bytes=dice.choice((300, 20_000, 500_000)),
        recipients=(RECIPIENT,),
        name=f"{NAME}-{number}",
    )
    after = dice.randrange(5, 30)
    return run_load(paquebot.ports.mx, load, then=paquebot.kill, after_acked=after, pause_seconds=dice.random() * 0.1)


def test_no_crash_leaves_plaintext_and_none_loses_mail(
    place: Path, settings: PaquebotSettings, far_mx: FakeMx, capsys: pytest.CaptureFixture[str]
) -> None:
    dice, witness, doubtful = random.Random(), Witness(), 0
    spool = place / "paquebot" / "spool"
    with running_paquebot(place / "paquebot", settings) as paquebot:
        for number in range(KILLS):
            witness.join(kill_under_load(paquebot, dice, number))
            assert found_below(spool) == []
            paquebot.configure(replace(settings, queue=way(number + 1)))
            paquebot.restart()
            assert found_below(spool) == []
            (stats,) = json.loads(paquebot.cli("show", "stats", "--json").checked().stdout)
            assert stats["queue.locked"] == stats["queue.corrupt"] == 0
            doubtful += int(stats["queue.possible_duplicates"])
        keys = json.loads(paquebot.cli("queue", "keys", "--json").checked().stdout)
        assert {key["kid"] for key in keys if key["segments"]} >= {1, 2}
        far_mx.script = Script()
        # One that is refused at this moment comes back for its next attempt behind the command.
        paquebot.wait_for(lambda: in_flight(paquebot) == 0, "the end of the first attempts", 60.0)
        paquebot.cli("schedule", "all").checked()
        paquebot.wait_for_empty_queue(120.0)
        assert found_below(spool) == []
    found = balance(witness, far_mx.contents, (), kills=KILLS, possible_duplicates=doubtful)
    with capsys.disabled():
        print(f"\nkill -9 under load, encrypted and compressed:\n{found.table()}", end="")
    assert (found.lost, found.altered, found.strangers) == (0, 0, 0)
    assert found.accepted > 5 * KILLS
    assert found.duplicates <= found.possible_duplicates + 20


def test_a_queue_without_a_key_is_found_out(place: Path, settings: PaquebotSettings) -> None:
    plain = replace(settings, queue=queue("", "None"))
    with running_paquebot(place / "paquebot", plain) as paquebot:
        kill_under_load(paquebot, random.Random(), 0)
    assert len(found_below(place / "paquebot" / "spool")) >= 3


def test_a_wrong_key_holds_mail_and_says_so_until_the_right_one_comes(
    place: Path, settings: PaquebotSettings, far_mx: FakeMx
) -> None:
    with running_paquebot(place / "paquebot", settings) as paquebot:
        paquebot.expected_faults = ("queue.key-missing",)
        witness = kill_under_load(paquebot, random.Random(), 0)
        far_mx.script = Script()
        paquebot.configure(replace(settings, queue=queue(ring(2))))
        paquebot.restart()
        (line,) = paquebot.wait_for_log("queue.key-missing")[:1]
        assert line["keys"] == "1"
        assert paquebot.metric("paquebot_queue_locked_segments") >= 1
        listed = paquebot.cli("show", "queue").checked()
        assert b"need key 1, which is missing" in listed.stderr
        other = b"Subject: other-x\r\n\r\nnew mail goes on\r\n"
        paquebot.send("a@client.test", [RECIPIENT], content=other).checked()
        paquebot.wait_for(lambda: len(far_mx.contents) == 1, "the new message")
        assert not paquebot.log_lines(event="queue.bounced")
        paquebot.change(queue=queue(ring(1, 2)))
        paquebot.wait_for(lambda: len(far_mx.contents) > len(witness.acked), "the mail that waited", 60.0)
        paquebot.wait_for_empty_queue(60.0)
        keys = {key["kid"]: key for key in json.loads(paquebot.cli("queue", "keys", "--json").checked().stdout)}
        assert (keys[2]["writes"], keys[1]["writes"], keys[1]["locked"]) == (True, False, 0)
    found = balance(witness, [each for each in far_mx.contents if b"new mail goes on" not in each], ())
    assert (found.lost, found.altered, found.duplicates) == (0, 0, 0)
