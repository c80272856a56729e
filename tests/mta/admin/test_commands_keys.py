"""Which keys the queue needs, over all workers, and what is said of mail that none of them opens."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from paquebot_mta.admin.cli import main
from paquebot_mta.admin.controls import KeyEntry
from tests.mta.admin.fake_controls import FakeControls, serving


@pytest.fixture
def workers(tmp_path: Path) -> Iterator[tuple[FakeControls, FakeControls]]:
    pair = FakeControls(0), FakeControls(1)
    with serving(tmp_path, *pair):
        yield pair


def run(runtime: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, arguments, env={"PAQUEBOT_RUNTIME": str(runtime), "TZ": "UTC"})


def fill(workers: tuple[FakeControls, FakeControls]) -> None:
    workers[0].keys = [
        KeyEntry(kid=2, created_at=1_800_000_000.0, writes=True, segments=3),
        KeyEntry(kid=1, created_at=1_700_000_000.0, segments=1),
        KeyEntry(kid=9, locked=2),
    ]
    workers[1].keys = [
        KeyEntry(kid=2, created_at=1_800_000_000.0, writes=True, segments=4),
        KeyEntry(kid=0, segments=1),
    ]
    workers[1].keys.append(KeyEntry(kid=9, locked=2))


def test_what_workers_serve_is_added_up_and_what_waits_is_counted_once(
    tmp_path: Path, workers: tuple[FakeControls, FakeControls]
) -> None:
    fill(workers)
    found = json.loads(run(tmp_path, "queue", "keys", "--json").stdout)
    assert [(key["kid"], key["writes"], key["segments"], key["locked"]) for key in found] == [
        (2, True, 7, 0), (1, False, 1, 0), (9, False, 0, 2), (0, False, 1, 0),
    ]  # fmt: skip
    shown = [line.split() for line in run(tmp_path, "queue", "keys").stdout.splitlines()]
    assert [(line[0], line[-2], line[-1]) for line in shown[1:]] == [
        ("2", "7", "-"), ("1", "1", "-"), ("9", "0", "2"), ("none", "1", "-"),
    ]  # fmt: skip
    assert "missing" in shown[3]


def test_the_queue_s_list_says_what_it_can_not_show(tmp_path: Path, workers: tuple[FakeControls, FakeControls]) -> None:
    assert "not shown" not in run(tmp_path, "show", "queue").stderr
    fill(workers)
    result = run(tmp_path, "show", "queue")
    assert result.exit_code == 0
    assert result.stderr.count("mail in 2 files of the queue that need key 9, which is missing") == 1


def test_without_keys_it_says_so(tmp_path: Path, workers: tuple[FakeControls, FakeControls]) -> None:
    assert "nothing is encrypted" in run(tmp_path, "queue", "keys").stderr
    assert workers[0].keys == []
