"""Random bits in bulk: as many as asked for, none twice, few system calls."""

from collections.abc import Callable
from itertools import count

from hypothesis import given
from hypothesis import strategies as st

from paquebot_mta.mail.chance import Chance


def counted() -> tuple[list[int], Callable[[int], bytes]]:
    """Give blocks whose bytes are numbered, and note how long each was."""
    drawn, numbers = list[int](), count()

    def draw(length: int) -> bytes:
        drawn.append(length)
        return bytes(next(numbers) % 251 for _ in range(length))

    return drawn, draw


@given(st.lists(st.integers(min_value=1, max_value=300), max_size=50))
def test_no_number_has_more_bits_than_asked_for(counts: list[int]) -> None:
    chance = Chance()
    assert all(0 <= chance.bits(each) < 1 << each for each in counts)


def test_no_byte_is_given_twice() -> None:
    _, draw = counted()
    chance = Chance(draw)
    assert [chance.bits(8) for _ in range(251)] == list(range(251))
    assert chance.bits(16) == 0x0001


def test_the_kernel_is_asked_once_for_many_numbers() -> None:
    drawn, draw = counted()
    chance = Chance(draw)
    for _ in range(1_000):
        chance.bits(32)
    assert len(drawn) == 1
    chance.bits(8 * 100_000)
    assert drawn[1:] == [100_000]


def test_all_bits_are_used() -> None:
    chance = Chance()
    seen = [chance.bits(64) for _ in range(200)]
    assert len(set(seen)) == 200
    assert all(any(each >> bit & 1 for each in seen) for bit in range(64))
    assert all(any(not each >> bit & 1 for each in seen) for bit in range(64))
