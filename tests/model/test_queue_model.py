"""The order of the queue's steps, checked in every interleaving by spin; wrong orders must be found out.

DOUBLES has too many states to be searched to the end: it is used to find a wrong order only.
"""

from pathlib import Path

import pytest

from tests.model.checking import errors_of

MODEL = Path(__file__).with_name("queue.pml")
WRONG = (
    ("ACK_BEFORE_SYNC",),
    ("CHECK_BEFORE_SYNC",),
    ("NO_CHECK",),
    ("READ_BEFORE_OWNER",),
    ("FORGET_ADOPTED",),
    ("DOUBLES", "UNCOUNTED_INTENT"),
)

pytestmark = [pytest.mark.slow, pytest.mark.integration, pytest.mark.timeout(600)]


def test_what_was_acknowledged_is_delivered_whatever_dies_or_pauses(tmp_path: Path) -> None:
    assert "errors: 0" in errors_of(MODEL, tmp_path)


@pytest.mark.parametrize("macros", WRONG, ids=" ".join)
def test_a_wrong_order_is_found_out(tmp_path: Path, macros: tuple[str, ...]) -> None:
    assert "errors: 1" in errors_of(MODEL, tmp_path, *macros)
