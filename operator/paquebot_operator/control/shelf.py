"""Objects of one kind as the API server has them, decoded once: the newest version of each, found by key."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

import msgspec

from paquebot_operator.cluster.resources import Json
from paquebot_operator.compile.objects import ObjectKey

MAX_ENDED: Final = 20_000
Item = TypeVar("Item")


@dataclass(frozen=True)
class Held(Generic[Item]):
    """One object.

    Attributes:
        version: of the API server; grows with each write of the object.
        item: None if it could not be decoded, and ``fault`` says why.
        mark: what is equal as long as the item means the same; versions change with each status, too.
        status: as it stands, in JSON: ten thousand of them are small that way.
    """

    key: ObjectKey
    uid: str
    version: int
    generation: int
    item: Item | None
    fault: str
    mark: object
    status: bytes


@dataclass(frozen=True)
class Change(Generic[Item]):
    """An object that came, went or means something else now."""

    before: Held[Item] | None
    after: Held[Item] | None


class Shelf(Generic[Item]):
    """Objects of one kind.

    Args:
        decode: makes an item; raises ValueError if it can't.
        mark: what of a raw object has a meaning for us.
    """

    def __init__(self, decode: Callable[[Json], Item], mark: Callable[[Json], object]) -> None:
        self._decode = decode
        self._mark = mark
        self._held: dict[ObjectKey, Held[Item]] = {}
        self._ended: dict[str, None] = {}

    def __len__(self) -> int:
        return len(self._held)

    def __iter__(self) -> Iterator[Held[Item]]:
        return iter(tuple(self._held.values()))

    def get(self, key: ObjectKey) -> Held[Item] | None:
        """The object of this name, if there is one."""
        return self._held.get(key)

    def items(self) -> dict[ObjectKey, Item]:
        """Everything that could be decoded, a copy."""
        return {key: held.item for key, held in self._held.items() if held.item is not None}

    def knows(self, raw: Json) -> bool:
        """Whether this very object, by uid, is held."""
        held = self._held.get(key_of_raw(raw))
        return held is not None and held.uid == raw["metadata"].get("uid", "")

    def put(self, raw: Json) -> Change[Item] | None:
        """Take a version; None if it is not newer, or means the same."""
        key, before = key_of_raw(raw), self._held.get(key_of_raw(raw))
        version, uid = _version(raw), raw["metadata"].get("uid", "")
        if uid in self._ended or (before is not None and before.uid == uid and version <= before.version):
            return None
        after = self._made(raw, key, before)
        self._held[key] = after
        same = before is not None and before.uid == uid and before.mark == after.mark
        return None if same else Change(before, after)

    def remove(self, raw: Json) -> Change[Item] | None:
        """Forget an object by its uid: the name may be another's already.

        An older list may still be on its way that has it: it never comes back.
        """
        key = key_of_raw(raw)
        self._ended[raw["metadata"].get("uid", "")] = None
        if len(self._ended) > MAX_ENDED:
            del self._ended[next(iter(self._ended))]
        return self._drop(key) if self.knows(raw) else None

    def prune(self, there: Collection[ObjectKey], version: int) -> list[Change[Item]]:
        """Forget what a whole list of this version has not: it is gone, however its end was missed."""
        gone = [key for key, held in self._held.items() if key not in there and held.version <= version]
        return [self._drop(key) for key in gone]

    def _drop(self, key: ObjectKey) -> Change[Item]:
        return Change(self._held.pop(key), None)

    def _made(self, raw: Json, key: ObjectKey, before: Held[Item] | None) -> Held[Item]:
        metadata, mark, fault = raw["metadata"], self._mark(raw), ""
        if before is not None and before.mark == mark and before.uid == metadata.get("uid", ""):
            item, fault = before.item, before.fault
        else:
            try:
                item = self._decode(raw)
            except ValueError as error:
                # The version of before stays in use: a newer API may know more than we do.
                item, fault = before.item if before is not None else None, str(error)
        return Held(
            key,
            metadata.get("uid", ""),
            _version(raw),
            int(metadata.get("generation", 0)),
            item,
            fault,
            mark,
            msgspec.json.encode(raw.get("status") or {}),
        )


def key_of_raw(raw: Json) -> ObjectKey:
    """Namespace and name."""
    return ObjectKey(raw["metadata"].get("namespace", ""), raw["metadata"]["name"])


def _version(raw: Json) -> int:
    """Versions of one kind are numbers that grow (KEP-5504)."""
    text = str(raw["metadata"].get("resourceVersion", "0"))
    return int(text) if text.isdecimal() else 0
