"""The journal's sizes and times; the defaults are what production runs with."""

from dataclasses import dataclass, replace
from typing import Final

from paquebot_mta.mail.reply import Reply
from paquebot_mta.spool.store import SpoolError

FAULT: Final = Reply(451, "Local error in processing", "4.3.0")
NO_SPACE: Final = Reply(452, "Insufficient system storage", "4.3.1")


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalOptions:
    """What tests and unusual volumes may want different.

    Attributes:
        segment_bytes, segment_seconds: a shared segment is sealed at this size or age.
        preallocate_bytes: longest step of preallocation, 0 for none: a segment grows by as much as it has, from an
            eighth of this on.
        private_bytes: messages above this get a segment of their own.
        batch_records, batch_bytes: bounds of what is synced at once.
        cache_bytes: contents kept in memory for their first attempt.
        ballast_bytes: file given up so that results can still be written on a full volume.
        minimum_free_percent: of blocks and inodes; below, new mail is refused.
        space_seconds: how long a look at the free space is good.
        beat_seconds: between two beats in the owner block; ``watch_seconds`` between two looks at those of others,
            at most: the end of somebody's time is looked for when it comes.
        lease_seconds: an owner whose beat could not be written for so long is not ready; after 1.5 times as much
            without a new beat others take its mail over.
        grave_seconds: between the burial of a directory and its removal; and so long no segment of an adopted
            incarnation goes whose process isn't known to be dead.
        rescan_seconds: when to look for late records of such a process; the last one again and again.
        share_messages: an adopter that takes over more than this hands parts to its living peers.
        machine: names this start of this machine, within which locks prove something; None: as the kernel says.
        probe: test at the start that the volume keeps what the queue relies on.
        compact_age_seconds, compact_live_share: a sealed segment older than this with less live than this share is
            emptied by copying forward.
        compact_volume_factor: the oldest ones are emptied too while all segments together hold more than so many times
            what is live, and ``compact_floor_bytes``; the present one is ended for that if it holds mostly dead bytes.
        housekeeping_seconds: between two looks for such a segment.
        wait_seconds: longest wait for the volume before a commit or update is given up.
        failures: in a row until the circuit opens; ``retry_seconds`` first and longest pause.
        claim_pause_seconds: between two adoptions at a start, so that workers that start together share.
    """

    segment_bytes: int = 64 * 1024 * 1024
    segment_seconds: float = 600.0
    preallocate_bytes: int = 8 * 1024 * 1024
    private_bytes: int = 256 * 1024
    batch_records: int = 256
    batch_bytes: int = 8 * 1024 * 1024
    cache_bytes: int = 32 * 1024 * 1024
    ballast_bytes: int = 64 * 1024 * 1024
    minimum_free_percent: int = 5
    space_seconds: float = 1.0
    beat_seconds: float = 0.9
    watch_seconds: float = 0.8
    lease_seconds: float = 8.0
    grave_seconds: float = 86_400.0
    rescan_seconds: tuple[float, ...] = (30.0, 60.0, 300.0, 3600.0)
    share_messages: int = 1_000
    machine: str | None = None
    probe: bool = True
    compact_age_seconds: float = 3600.0
    compact_live_share: float = 0.1
    compact_volume_factor: float = 3.0
    compact_floor_bytes: int = 1024 * 1024
    housekeeping_seconds: float = 60.0
    wait_seconds: float = 60.0
    failures: int = 3
    retry_seconds: tuple[float, float] = (1.0, 60.0)
    claim_pause_seconds: float = 0.05

    @property
    def adopt_after_seconds(self) -> float:
        """How long a beat must stand still until its mail is taken over."""
        return 1.5 * self.lease_seconds

    def leased(self, lease_seconds: float) -> "JournalOptions":
        """The same with another lease, and beats and looks that fit it."""
        return replace(
            self, lease_seconds=lease_seconds, beat_seconds=lease_seconds / 9, watch_seconds=lease_seconds / 10
        )


def fault(cause: str) -> SpoolError:
    """Make the error of a volume out of order."""
    return SpoolError(FAULT, cause)


def no_space(cause: str) -> SpoolError:
    """Make the error of a full volume."""
    return SpoolError(NO_SPACE, cause)
