"""Rules of the time table of retries."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paquebot_mta.schedule.backoff import next_attempt_at


@pytest.mark.parametrize(("attempts", "offset"), [(1, 400), (2, 1600), (3, 3600), (4, 6400), (5, 10_000)])
def test_offsets_from_creation_are_opensmtpds(attempts: int, offset: int) -> None:
    earlier = 1_000_000.0 + (attempts - 1) ** 2 * 400
    assert next_attempt_at(1_000_000.0, attempts, 400, earlier + 1) == 1_000_000.0 + offset


def test_local_mail_and_bounces_are_tried_forty_times_faster() -> None:
    assert next_attempt_at(0.0, 2, 10, 11.0) == 40.0


def test_a_long_stop_is_not_made_up_for_in_a_burst() -> None:
    assert next_attempt_at(0.0, 1, 400, 90_000.0) == 400.0 * 16 * 16


@given(
    created=st.floats(0, 2e9),
    attempts=st.integers(1, 200),
    base=st.sampled_from([10, 400]),
    elapsed=st.floats(-1e6, 1e6),
)
def test_the_next_attempt_lies_ahead_and_never_before_the_attempts_own_step(
    created: float, attempts: int, base: int, elapsed: float
) -> None:
    now = created + elapsed
    due = next_attempt_at(created, attempts, base, now)
    assert due > now
    assert due >= created + base * attempts**2


@given(created=st.floats(0, 2e9), attempts=st.integers(1, 200), base=st.sampled_from([10, 400]))
def test_waiting_times_grow(created: float, attempts: int, base: int) -> None:
    first = next_attempt_at(created, attempts, base, created)
    assert next_attempt_at(created, attempts + 1, base, first) > first
