"""Watching the beats of other incarnations, and deciding which dead one is ours to take over. Blocks.

A root is dead if its process said goodbye, if it ran on this machine and its lock is free, or if its beat stood still
for 1.5 times the lease. All watchers see the same living peers, so they agree who goes first for each dead root; the
next in order waits a look longer. That spreads the dead among the living, and saves them from racing.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from paquebot_mta.mail.ids import RandomBits
from paquebot_mta.spool.adopt import Adopter
from paquebot_mta.spool.forest import UNKNOWN, Owners, rank_of, roots_of
from paquebot_mta.spool.liveness import Liveness
from paquebot_mta.spool.options import JournalOptions
from paquebot_mta.spool.owner import Owner
from paquebot_mta.spool.segment import Home

_ROUNDING_SECONDS: Final = 0.002
"""A timer may ring a millisecond early, and would have to be set again."""
Reason = Literal["goodbye", "lock", "lease", "inherited"]


@dataclass(frozen=True, slots=True)
class Dead:
    """A dead root.

    Attributes:
        reason: how we know; ``inherited``: it leads to us already.
        silent_seconds: since its beat was seen to change.
    """

    root: str
    reason: Reason
    silent_seconds: float


@dataclass(slots=True)
class Watcher:
    """Looks at all owner blocks now and then; used by one thread at a time.

    Attributes:
        peers: other roots that seemed to live at the last look. Who was silent for a third of what proves a death is
            none of them: of what died together, as all on a node do, none must be waited for as an heir of another.
    """

    adopter: Adopter
    liveness: Liveness
    options: JournalOptions
    monotonic: Callable[[], float]
    randbits: RandomBits
    peers: tuple[str, ...] = ()
    _owners: Owners = field(default_factory=dict)
    _dead_since: dict[str, float] = field(default_factory=dict)

    def look(self, *, start: bool = False) -> Sequence[Dead]:
        """Dead roots whose turn it is, by our place among the living; at a ``start`` all of them, in random order.

        Raises:
            OSError: our block, or the list of all, can't be read: nobody is judged.
        """
        self._owners = self.adopter.survey()
        self.liveness.look(self._owners)
        dead = {each.root: each for each in self._dead(start)}
        self.adopter.locked.keep(dead)
        others = roots_of(self._owners) - dead.keys() - {self.adopter.incarnation}
        self.peers = tuple(sorted(each for each in others if not self._is_silent_for_long(each)))
        now = self.monotonic()
        self._dead_since = {root: self._dead_since.get(root, now) for root in dead}
        if start:
            return sorted(dead.values(), key=lambda each: self.randbits(32))
        return [each for each in dead.values() if self._is_our_turn(each.root, now)]

    def pause_seconds(self) -> float:
        """How long to wait until the next look: somebody's time may end before a usual pause does."""
        until = self.liveness.next_silent_seconds()
        usual = self.options.watch_seconds
        return usual if until is None else min(usual, until + _ROUNDING_SECONDS)

    def take(self, dead: Dead) -> Sequence[Home]:
        """Take a dead root over, with all that leads to it; nothing if somebody else was faster.

        Raises:
            OSError: we were taken over ourselves, or the volume is out of order.
        """
        homes = self._marked(self.adopter.claim(dead.root))
        for home in homes:
            if home.incarnation == dead.root and dead.silent_seconds:
                home.last_beat_at = self.monotonic() - dead.silent_seconds
        return homes

    def inherited(self) -> Sequence[Home]:
        """Take what leads to us without being served: a try before was cut short, or a zombie gave it to us.

        Raises:
            OSError: we were taken over ourselves, or the volume is out of order.
        """
        return self._marked(self.adopter.gather())

    def _marked(self, homes: Sequence[Home]) -> Sequence[Home]:
        now = self.monotonic()
        for home in homes:
            home.guarded_until = 0.0 if home.proven else now + self.options.grave_seconds
            home.rescan_at = now + self.options.rescan_seconds[0]
        return homes

    def to_rescan(self, homes: Iterable[Home]) -> Sequence[Home]:
        """Adopted directories that a zombie may have appended to since the last look, of those proven dead by now for
        the last time.

        Raises:
            OSError: the volume is out of order.
        """
        now, due = self.monotonic(), []
        for home in homes:
            if home.own or home.proven or home.unlisted or now < home.rescan_at:
                continue
            home.proven = self._is_proven(home.incarnation, self._owners.get(home.incarnation))
            pauses = self.options.rescan_seconds
            home.rescans += 1
            home.rescan_at = now + pauses[min(home.rescans, len(pauses) - 1)]
            due.append(home)
        return due

    def _dead(self, start: bool) -> Iterator[Dead]:
        for root in sorted(roots_of(self._owners) - {self.adopter.incarnation}):
            reason = self._reason(root, start)
            if reason is not None:
                yield Dead(root, reason, self.liveness.silent_seconds(root))

    def _reason(self, root: str, start: bool) -> Reason | None:
        owner = self._owners.get(root)
        if owner is UNKNOWN:
            return None  # nobody is judged by what can't be read
        if owner is not None and owner.goodbye:
            return "goodbye"
        suspect = start or self.liveness.silent_seconds(root) >= 2 * self.options.beat_seconds
        if suspect and self._is_proven(root, owner):
            return "lock"
        return "lease" if self.liveness.is_silent(root) else None

    def _is_proven(self, root: str, owner: Owner | None) -> bool:
        try:
            return self.adopter.is_proven_dead(root, owner)
        except OSError as error:
            self.adopter.bar(root, error)
            return False

    def _is_silent_for_long(self, root: str) -> bool:
        return self.liveness.silent_seconds(root) >= self.options.adopt_after_seconds / 3

    def _is_our_turn(self, root: str, now: float) -> bool:
        rank = rank_of(self.adopter.incarnation, root, self.peers)
        return now - self._dead_since[root] >= rank * 2 * self.options.watch_seconds
