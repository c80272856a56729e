"""What fits into the files of a configuration: who makes one too big is left out, and all others go on."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import msgspec

from paquebot_mta.config.codec import SERVICE, encode, shard_of
from paquebot_mta.config.directory import MAX_FILE_BYTES
from paquebot_mta.config.service import ServiceShard
from paquebot_operator.compile.attached import Attached, Memory, Part, Unit, last_part, use
from paquebot_operator.compile.conditions import ObjectCondition, Report
from paquebot_operator.compile.last_good import LastGood
from paquebot_operator.compile.objects import Objects, key_of

REASON: Final = "ConfigTooBig"
FRAME_BYTES: Final = 256
"""What a file has beside its parts."""
_PART_BYTES: Final = 8
"""Quotes, colons and commas around a part and its name."""
_Place = tuple[str, str]
"""Kind and name."""


def is_too_big(files: Mapping[str, bytes]) -> bool:
    """Whether there is a file that no Secret can hold and no MTA reads."""
    return any(len(content) > MAX_FILE_BYTES for content in files.values())


def refuse_big(own: ServiceShard, report: Report) -> None:
    """Refuse a service whose own part is more than a file can hold: no domain is to blame for that."""
    size = len(encode(own)) + FRAME_BYTES
    if size > MAX_FILE_BYTES:
        message = (
            f"{size} bytes of its own, of {MAX_FILE_BYTES} that fit: make tables and filters that it names smaller"
        )
        report.refuse(REASON, "spec", message)


def fitted(attached: Attached, own: ServiceShard, last: LastGood | None, objects: Objects, memory: Memory) -> Attached:
    """The same but for what has no room beside ``own``, the service's part; ``memory`` says of whom that is.

    What is in force already comes first, then older MailDomains: nobody's mail stops because somebody else's lists
    grow. Who has no room goes on with the last good entry, if there is one and that has.
    """
    room, good, kept, waiting = _Room(own), list[Part](), list[Part](), list[Part]()
    for part in sorted(attached.parts, key=lambda part: not _is_in_force(part, last)):
        old = key_of(part.unit.source) in attached.kept
        (waiting if not room.take(part) else kept if old else good).append(part)
    for part in waiting:
        before = last_part(part.unit, last, objects)
        if before is not None and room.take(before):
            kept.append(before)
    found = _put_together(good, kept)
    found.sought = attached.sought
    refused = {key_of(part.unit.source): _refused(part.unit) for part in waiting}
    memory.units = memory.made | refused
    gone = {each for part in waiting for each in part.unit.conditions}
    told = (each for unit in refused.values() for each in unit.conditions)
    found.conditions = [*(each for each in attached.conditions if each not in gone), *told]
    return found


def _put_together(good: list[Part], kept: list[Part]) -> Attached:
    """Kept ones come last: they take nothing from the new."""
    found = Attached(kept={key_of(part.unit.source) for part in kept})
    for part in (*good, *kept):
        use(found, part)
    return found


class _Room:
    """How much of each file is taken, by what; of two values with one name the bigger counts."""

    def __init__(self, own: ServiceShard) -> None:
        self._sizes: dict[str, int] = {SERVICE: len(encode(own)) + FRAME_BYTES}
        # The service's own tables lie in its part whoever else names them.
        self._held: dict[_Place, int] = dict.fromkeys((("table", name) for name in own.tables), MAX_FILE_BYTES)
        self._measured: dict[int, int] = {}

    def take(self, part: Part) -> bool:
        """Add a part and what it uses, if all of it has room."""
        after, held = dict(self._sizes), dict[_Place, int]()
        for place, (file, each) in _wanted(part).items():
            size, before = self._measure(place[1], each), self._held.get(place, 0)
            held[place] = max(size, before)
            after[file] = after.get(file, FRAME_BYTES) + held[place] - before
            if after[file] > MAX_FILE_BYTES:
                return False
        self._sizes = after
        self._held |= held
        return True

    def _measure(self, name: str, value: msgspec.Struct) -> int:
        """Bytes of a value with its name; many parts share a table, so each is spelled once."""
        if id(value) not in self._measured:
            self._measured[id(value)] = len(encode(value))
        return self._measured[id(value)] + len(name) + _PART_BYTES


def _wanted(part: Part) -> dict[_Place, tuple[str, msgspec.Struct]]:
    """What a part consists of, by kind and name: the file it lies in, and the value."""
    domain, used = part.domain, part.used
    wanted: dict[_Place, tuple[str, msgspec.Struct]] = {("domain", domain.name): (shard_of(domain.name), domain)}
    wanted |= {("table", name): (shard_of(name), each) for name, each in used.tables.items()}
    wanted |= {("certificate", name): (SERVICE, each) for name, each in used.certificates.items()}
    return wanted | {("filter", name): (SERVICE, each) for name, each in used.filters.items()}


def _is_in_force(part: Part, last: LastGood | None) -> bool:
    if last is None or last.entry(part.domain.name, key_of(part.unit.source)) != part.domain:
        return False
    config, used = last.config, part.used
    return (
        all(config.tables.get(name) == each for name, each in used.tables.items())
        and all(config.service.certificates.get(name) == each for name, each in used.certificates.items())
        and all(config.service.filters.get(name) == each for name, each in used.filters.items())
    )


def _refused(unit: Unit) -> Unit:
    report = Report("MailDomain", key_of(unit.source))
    message = (
        f"there is no room for it in the configuration, whose files of {MAX_FILE_BYTES} bytes it shares: make "
        "its tables, lists and filters smaller, or use another MailService"
    )
    report.refuse(REASON, "spec", message)
    others = (each for each in unit.conditions if not _is_praise(each))
    return replace(unit, domain=None, revision="", conditions=tuple(sorted({*others, *report.found})))


def _is_praise(condition: ObjectCondition) -> bool:
    return condition.type == "Accepted" and condition.severity == "Info"
