"""Who leads to whom: the owner blocks of all incarnations, read as a forest. Pure.

An incarnation that owns itself is a root. What was adopted leads to its adopter, and whoever takes over a root has
taken over all that leads to it: one block fences the whole group.
"""

from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import Final

from paquebot_mta.spool.owner import Owner

Owners = Mapping[str, Owner | None]
"""The block of each incarnation by name; None if there is none, or it is damaged."""
UNKNOWN: Final = Owner("", beat=-1)
"""Stands for a block that the volume doesn't give out now: a root of which nobody can say whether it lives."""


def root_of(name: str, owners: Owners) -> str:
    """Follow owners to the one that owns itself, or whose block leads nowhere.

    Zombies that wake up at the worst moment can write a circle; its first name in order is its root then.
    """
    path: dict[str, None] = {}
    while name not in path:
        path[name] = None
        owner = owners.get(name)
        if owner is None or owner.owner == name or owner.owner not in owners:
            return name
        name = owner.owner
    circle = list(path)
    return min(circle[circle.index(name) :])


def roots_of(owners: Owners) -> set[str]:
    """All roots."""
    return {root_of(name, owners) for name in owners}


def rank_of(us: str, dead: str, living: Iterable[str]) -> int:
    """Our place among the living who might adopt a dead root: all that see the same agree who is first."""
    order = sorted({us, *living} - {dead}, key=lambda name: blake2b(f"{dead} {name}".encode()).digest())
    return order.index(us)
