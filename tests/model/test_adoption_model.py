"""Who takes over whom and who hands on what, in every interleaving; wrong orders must be found out.

Doubts about the living and shares together have ten million states, two minutes of a busy core: each is searched to
the end without the other, and together only as far as the first error. ``spin -a adoption.pml`` makes all of it.
"""

from pathlib import Path

import pytest

from tests.model.checking import errors_of

MODEL = Path(__file__).with_name("adoption.pml")
SURE, WHOLE = "DOUBTS=0", "KEEP_ALL"
WRONG = (
    ("NO_CLAIM", WHOLE),
    ("PASS_OVER_LIVING", WHOLE),
    ("NEVER_PASS_OVER", WHOLE, SURE),
    ("NO_LOOK", WHOLE),
    ("ROOT_ONLY", WHOLE, SURE),
    ("DONE_BEFORE_COPY", SURE),
    ("RELEASE_BEFORE_DONE", SURE),
    ("ALONE_AT_ONCE", SURE),
)
NOT_PROMISED = (("PAUSED_RELEASE",), ("ELSEWHERE", WHOLE))

pytestmark = [pytest.mark.slow, pytest.mark.integration, pytest.mark.timeout(600)]


@pytest.mark.parametrize("macro", [WHOLE, SURE])
def test_all_mail_is_served_and_by_one_only_whoever_dies_or_pauses(tmp_path: Path, macro: str) -> None:
    assert "errors: 0" in errors_of(MODEL, tmp_path, macro)


@pytest.mark.parametrize("macros", WRONG, ids=" ".join)
def test_a_wrong_order_is_found_out(tmp_path: Path, macros: tuple[str, ...]) -> None:
    assert "errors: 1" in errors_of(MODEL, tmp_path, *macros)


@pytest.mark.parametrize("macros", NOT_PROMISED, ids=" ".join)
def test_what_is_not_promised_is_known(tmp_path: Path, macros: tuple[str, ...]) -> None:
    assert "errors: 1" in errors_of(MODEL, tmp_path, *macros)
