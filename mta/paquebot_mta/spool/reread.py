"""What could not be read when it was taken over, read later, together with all that is known by then.

Which of its messages still wait can only be told from all logs that we serve: results about them may stand in any, ours
included, and copies of them. So all of these are read anew, beside what is served; of what comes out only that is taken
in which lay where nothing could be read before. It is all still there: ``Home.needed`` keeps it.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence

from paquebot_mta.spool.disk import Disk
from paquebot_mta.spool.index import Index
from paquebot_mta.spool.layout import Layout
from paquebot_mta.spool.replay import Found, Recovered, Replay
from paquebot_mta.spool.scan import read_header, scan
from paquebot_mta.spool.seal import NO_SEAL
from paquebot_mta.spool.sealer import Sealer
from paquebot_mta.spool.segment import Home, Segment

Served = frozenset[tuple[str, str]]
"""Incarnations and ids of messages."""


def keep_together(homes: Sequence[Home]) -> None:
    """Keep all of those that were taken over together as long as something of them is unread."""
    kin = tuple(homes) if any(home.unread for home in homes) else ()
    for home in homes:
        home.kin = kin


def is_readable(disk: Disk, sealer: Sealer, homes: Iterable[Home]) -> bool:
    """Whether something of these can be read now that could not be. Blocks."""
    return any(
        _is_listed(disk, home) if home.unlisted else any(_is_readable(disk, sealer, each) for each in unread_of(home))
        for home in homes
    )


def _is_listed(disk: Disk, home: Home) -> bool:
    try:
        disk.names(home.path)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def _is_readable(disk: Disk, sealer: Sealer, segment: Segment) -> bool:
    try:
        if segment.seal is not NO_SEAL:
            seal = segment.seal
        elif (header := read_header(disk, segment.path)) is not None and header.readable:
            seal = sealer.open(header)
        else:
            return True
        for _ in scan(disk, segment.path, seal, segment.end):
            pass
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def unread_of(home: Home) -> list[Segment]:
    """Files that could not be read so far."""
    return [segment for segment in tuple(home.segments.values()) if segment.unread]


def shadows_of(homes: Iterable[Home]) -> list[Home]:
    """What is known of some directories, to be read without touching what is served from them."""
    shadows = []
    for home in homes:
        shadow = Home(home.incarnation, home.path, home.own, proven=home.proven, unlisted=home.unlisted)
        known = [segment.segment_id for segment in home.segments.values() if not segment.unread]
        shadow.segments = {segment_id: Segment(shadow, segment_id, sealed=True) for segment_id in known}
        shadows.append(shadow)
    return shadows


def read_anew(disk: Disk, layout: Layout, sealer: Sealer, shadows: Sequence[Home]) -> Recovered | None:
    """Replay all logs. None if something that was read before can't be read now: nobody can tell what waits. Blocks."""
    known = [segment for shadow in shadows for segment in shadow.segments.values()]
    listed = [shadow for shadow in shadows if not shadow.unlisted]
    for shadow in shadows:
        shadow.unlisted = False
    recovered = Replay(disk, layout, sealer, shadows).run()
    missed = any(segment.unread for segment in known) or any(shadow.unlisted for shadow in listed)
    return None if missed else recovered


def take_in(homes: Iterable[Home], recovered: Recovered) -> None:
    """Put in the places of the shadows what they stand for."""
    by_name = {home.incarnation: home for home in homes}
    real = dict[Segment, Segment]()
    for shadow in recovered.homes:
        home = by_name.get(shadow.incarnation)
        if home is not None:
            real |= {each: home.segments[each.segment_id] for each in _known(shadow, home)}
            home.unlisted = shadow.unlisted
            new = [segment for segment in recovered.segments if segment.home is shadow]
            _give_up(home, {segment.segment_id for segment in new})
            real |= {segment: _entered(home, segment) for segment in new}
    _pin(real, set(recovered.segments))
    recovered.messages = _placed(recovered.messages, real)
    recovered.late = [(real[segment], results) for segment, results in recovered.late if segment in real]
    for shadow in recovered.homes:
        home = by_name.get(shadow.incarnation)
        if home is not None and not home.own:
            _remember(home, shadow, real)
    for home in by_name.values():
        keep_together(home.kin)


def _known(shadow: Home, home: Home) -> list[Segment]:
    return [segment for segment in shadow.segments.values() if segment.segment_id in home.segments]


def _give_up(home: Home, found: Collection[int]) -> None:
    """Files that were unread and are gone hold nothing back."""
    for segment in unread_of(home):
        if segment.segment_id not in found:
            segment.held = segment.unread = False


def _entered(home: Home, segment: Segment) -> Segment:
    """A segment that was read at last, or is still unread, in its place; messages of its beginning may be served."""
    kept = home.segments.setdefault(segment.segment_id, segment)
    kept.home = home
    kept.seal, kept.kid, kept.created_at, kept.private = segment.seal, segment.kid, segment.created_at, segment.private
    kept.end, kept.held, kept.unread = segment.end, segment.held, segment.unread
    return kept


def _pin(real: Mapping[Segment, Segment], new: set[Segment]) -> None:
    """What holds results about new segments, and what these hold results about, is known only now."""
    for shadow, segment in real.items():
        pins = tuple(shadow.pins)
        if segment is shadow:
            segment.pins.clear()
        segment.pin(real[each] for each in pins if each in real and (each in new or shadow in new))


def _placed(messages: Iterable[Found], real: Mapping[Segment, Segment]) -> list[Found]:
    placed = [found for found in messages if found.segment in real]
    for found in placed:
        found.segment = found.entry.segment = real[found.segment]
    return placed


def _remember(home: Home, shadow: Home, real: Mapping[Segment, Segment]) -> None:
    """What may be confirmed by what is seen later (see ``together``)."""
    home.unconfirmed |= {found.msgid: found for found in _placed(shadow.unconfirmed.values(), real)}
    if home.unread or not home.proven:
        home.confirmed |= {msgid: real[segment] for msgid, segment in shadow.confirmed.items() if segment in real}
    else:
        home.confirmed = {}


def served_of(index: Index, twins: Iterable[Found]) -> Served:
    """What is served at a moment, or waits for another id."""
    entries = ((msgid, index.get(msgid)) for msgid in index.ids())
    served = frozenset((entry.segment.home.incarnation, str(msgid)) for msgid, entry in entries if entry is not None)
    return served.union((found.segment.home.incarnation, str(found.msgid)) for found in twins)


def is_among(served: Served, found: Found) -> bool:
    """Whether a message, or another copy of it, is served."""
    return (found.segment.home.incarnation, str(found.msgid)) in served or found.origin in served
