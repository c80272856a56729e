"""The rules of MX records (RFC 5321, 5.1; RFC 7505): which hosts may be tried, in which order. No I/O."""

from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from typing import Final

from msgspec import Struct

MAX_EXCHANGES: Final = 10
"""Hosts looked at, the best first."""
MAX_NEXT_HOPS: Final = 5
"""Addresses tried in one attempt; RFC 5321, 5.1 wants at least two."""


class Exchange(Struct, frozen=True):
    """One MX record; ``name`` without the final dot, empty for the root."""

    preference: int
    name: str


Shuffle = Callable[[list[Exchange]], None]
"""Puts a list into random order, in place."""


def is_null_mx(records: Sequence[tuple[int, str]]) -> bool:
    """Whether the domain says that it takes no mail: one record that names the root, or nobody but localhost."""
    return bool(records) and all(name in {"", "localhost"} for _, name in records)


def order_exchanges(records: Iterable[tuple[int, str]], shuffle: Shuffle) -> tuple[Exchange, ...]:
    """Sort by preference, equals at random (RFC 5321, 5.1), each host once, at most ``MAX_EXCHANGES``."""
    best: dict[str, Exchange] = {}
    for exchange in sorted((Exchange(*record) for record in records if record[1]), key=_preference):
        best.setdefault(exchange.name, exchange)
    ordered: list[Exchange] = []
    for _, equals in groupby(best.values(), key=_preference):
        group = list(equals)
        shuffle(group)
        ordered += group
    return tuple(ordered[:MAX_EXCHANGES])


def better_than_us(exchanges: tuple[Exchange, ...], is_us: Callable[[Exchange], bool]) -> tuple[Exchange, ...]:
    """Drop ourselves and all that are not better than we are (RFC 5321, 5.1: else mail would go in circles)."""
    ours = min((exchange.preference for exchange in exchanges if is_us(exchange)), default=None)
    return exchanges if ours is None else tuple(each for each in exchanges if each.preference < ours)


def _preference(exchange: Exchange) -> int:
    return exchange.preference
