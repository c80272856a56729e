"""Every target holds its promises for the kept corpus and for inputs drawn at random."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.catalogue import CORPUS, TARGETS, kept
from tests.fuzz.coverage import lines_of
from tests.fuzz.material import cut, with_runs
from tests.fuzz.minimise import choose

_NAMES = sorted(TARGETS)


@pytest.mark.parametrize("name", _NAMES)
def test_the_kept_corpus_breaks_no_promise(name: str) -> None:
    files = kept(name)
    assert files, f"no corpus of {name}"
    for path in files:
        try:
            TARGETS[name](path.read_bytes())
        except Exception as error:
            raise AssertionError(f"{path} breaks {name}") from error


@pytest.mark.parametrize("name", _NAMES)
def test_inputs_near_the_corpus_break_no_promise(name: str) -> None:
    @settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.sampled_from([path.read_bytes() for path in kept(name)]), st.integers(0, 400), st.binary(max_size=40))
    def draw(seed: bytes, at: int, inserted: bytes) -> None:
        TARGETS[name](seed[:at] + inserted + seed[at + len(inserted) // 2 :])

    draw()


def test_the_corpus_is_small_and_has_no_strangers() -> None:
    files = [path for path in CORPUS.rglob("*") if path.is_file()]
    assert {path.parent.name for path in files} == TARGETS.keys()
    assert len(files) < 500
    assert sum(path.stat().st_size for path in files) < 1 << 20


@given(st.binary(max_size=300), st.binary(max_size=4))
def test_cutting_loses_nothing(data: bytes, sizes: bytes) -> None:
    stream = with_runs(data)
    chunks = list(cut(stream, sizes))
    assert b"".join(chunks) == stream
    assert all(chunks)


def test_the_choice_of_inputs_reaches_all_that_all_reach() -> None:
    seed, *inputs = (path.read_bytes() for path in kept("lines"))
    chosen, reached = choose(TARGETS["lines"], [*inputs, b""], [seed])
    assert seed not in chosen
    assert choose(TARGETS["lines"], [seed, *chosen])[1] == reached
    path = next(path for path, _, _ in reached if path.endswith("mail/lines.py"))
    assert {line for where, _, line in reached if where == path} <= lines_of(path)
