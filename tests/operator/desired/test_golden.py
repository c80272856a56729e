"""What three services want, to the byte: a change of a builder shows here, and in a rollout of every pool."""

import pytest

from tests.operator.desired.golden import FOLDER, golden_text
from tests.operator.desired.services import GOLDEN


@pytest.mark.parametrize("name", sorted(GOLDEN))
def test_objects_are_what_the_golden_file_says(name: str) -> None:
    assert golden_text(name) == (FOLDER / f"{name}.yaml").read_text(encoding="utf-8")


def test_every_golden_file_has_its_service() -> None:
    assert {path.stem for path in FOLDER.iterdir()} == set(GOLDEN)
