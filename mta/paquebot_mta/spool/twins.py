"""Messages whose ids are in use already: 32 bits meet now and then among many. The later one gets another id.

That takes a copy in our own log, which may fail for now. Such a message holds its segment, and is tried again.
"""

from paquebot_mta.mail.ids import Msgid, new_msgid
from paquebot_mta.spool.parts import JournalParts
from paquebot_mta.spool.reader import DamagedError
from paquebot_mta.spool.replay import Found
from paquebot_mta.spool.store import SpoolError
from paquebot_mta.telemetry.events import Notice


def keep_twin(parts: JournalParts, found: Found) -> None:
    """Let a message wait for another id."""
    found.segment.live += 1  # holds its segment
    parts.twins[found] = ""


async def serve_twins(parts: JournalParts) -> None:
    """Give those that wait another id, and serve them; what can't be copied now is tried again after a pause."""
    if not parts.twins or parts.renaming.locked() or parts.watcher.monotonic() < parts.rename_at:
        return
    async with parts.renaming:
        for found in tuple(parts.twins):
            try:
                new = await _renamed(parts, found)
            except (SpoolError, DamagedError, OSError) as error:
                parts.rename_at = parts.watcher.monotonic() + parts.options.retry_seconds[1]
                _tell(parts, found, error)
                continue
            del parts.twins[found]
            parts.told_twins.discard(found)
            found.segment.live -= 1
            parts.janitor.consider(found.segment)
            found.msgid = new
            parts.found.append(found)
    if parts.found:
        parts.arrived.set()


async def _renamed(parts: JournalParts, found: Found) -> Msgid:
    """Copy one, and return its new id.

    Raises:
        SpoolError, DamagedError, OSError: it stays where it is, as far as anybody knows.
    """
    tried = parts.twins[found]
    if tried:
        await parts.log.append((), lambda placed: None)  # once this is answered, so is the try before
        if parts.index.get(Msgid(tried)) is found.entry:
            return Msgid(tried)
    new = new_msgid(parts.randbits)
    while new in parts.index or new in parts.intake.open_ids:
        new = new_msgid(parts.randbits)
    parts.twins[found] = new
    await parts.compactor.move_as(found.msgid, found.entry, new)
    return new


def _tell(parts: JournalParts, found: Found, error: Exception) -> None:
    """Say once of each that it waits."""
    if found not in parts.told_twins:
        parts.told_twins.add(found)
        details: dict[str, str | int | float | bool] = {
            "msgid": found.msgid,
            "incarnation": found.segment.home.incarnation,
            "cause": str(error),
        }
        parts.notify(Notice(level="warning", event="queue.twin-waits", details=details))
