"""Taking over incarnations whose process is gone. Blocks.

Order of the steps: claim (a name that only one can make), look whether we are still ourselves, overwrite ``owner`` of
the root with the next epoch, sync; then a fresh listing of all that leads to us now; only then read. What an
incarnation adopted leads to it, so one root is a whole group. Dying between any two steps leaves one root, ready for
the next: either still the dead one, with a claim whose claimer is dead too, or us.

A claim is passed over only when its claimer leads nowhere, to the dead root itself, or to us: whoever made it has been
fenced by his own block then, and serves nothing however late he wakes up. Or when its process is known to have ended:
two that had claimed each other would else wait for each other for ever.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from msgspec.structs import replace

from paquebot_mta.mail.ids import RandomBits
from paquebot_mta.spool.committer import FULL, LostOwnershipError
from paquebot_mta.spool.disk import Disk, read_file, write_file
from paquebot_mta.spool.forest import UNKNOWN, Owners, root_of
from paquebot_mta.spool.format import MAX_INCARNATION_BYTES
from paquebot_mta.spool.graves import Graves, claims_of
from paquebot_mta.spool.incarnation import is_proven_dead
from paquebot_mta.spool.layout import Layout, is_incarnation
from paquebot_mta.spool.locked import Locked
from paquebot_mta.spool.owner import Owner, create_owner, overwrite_owner, read_owner
from paquebot_mta.spool.segment import Home


@dataclass(frozen=True, slots=True)
class Adopter:
    """Takes over dead incarnations, one group at a time.

    Attributes:
        incarnation: ours.
        machine: names this machine, for what its locks prove.
        graves: tells where buried incarnations led.
        still_ours: reads our own block from the volume.
        served: incarnations whose mail we deliver already.
        locked: knows what our keys don't open.
        barred: directories of which something could not be read at the last look, and why.
    """

    disk: Disk
    layout: Layout
    incarnation: str
    machine: str
    graves: Graves
    randbits: RandomBits
    still_ours: Callable[[], bool]
    served: Callable[[], Collection[str]]
    locked: Locked
    barred: dict[str, str] = field(default_factory=dict)

    def survey(self) -> Owners:
        """Read the blocks of all incarnations from a fresh listing; those that lead to a buried one lead further.

        Raises:
            OSError: the volume is out of order: our own block, or the list, can't be read.
        """
        return self._past_graves(self._read())

    def _read(self) -> dict[str, Owner | None]:
        names = [name for name in self.disk.names(self.layout.at("pods")) if is_incarnation(name)]
        self.barred.clear()
        return {name: self._owner(name) for name in names}

    def _owner(self, name: str) -> Owner | None:
        """The block of one; a single one that can't be read must not keep us from all others."""
        try:
            return read_owner(self.disk, self._block(name))
        except OSError as error:
            if name == self.incarnation:
                raise
            self.bar(name, error)
            return UNKNOWN

    def bar(self, name: str, error: OSError) -> None:
        """Note that something of a directory can't be read now."""
        self.barred[name] = error.strerror or type(error).__name__

    def _past_graves(self, owners: Mapping[str, Owner | None]) -> Owners:
        found = dict(owners)
        for name, owner in owners.items():
            if owner is not None and owner is not UNKNOWN and owner.owner not in owners:
                heir = self._heir(owner.owner, owners)
                if heir:
                    found[name] = replace(owner, owner=heir)
        return found

    def _heir(self, buried: str, owners: Owners) -> str:
        """Whoever is there of those that a buried incarnation led to; empty if nobody is."""
        passed: set[str] = set()
        while buried not in owners:
            owner = None if buried in passed else self.graves.owner_of(buried)
            if owner is None:
                return ""
            passed.add(buried)
            buried = owner.owner
        return buried

    def is_proven_dead(self, name: str, owner: Owner | None) -> bool:
        """Whether its writer will never write again: it said so, or it ran on this machine and has ended.

        A directory without block and lock had no process ever: somebody has put it there.
        """
        if owner is None and not self.disk.exists(f"{self.layout.home(name)}/lock"):
            return True
        said = owner is not None and owner.goodbye
        return said or is_proven_dead(self.disk, self.layout.home(name), self.machine)

    def claim(self, root: str) -> Sequence[Home]:
        """Take over a dead root and all that leads to it. Returns nothing if somebody else does, or has to.

        Raises:
            LostOwnershipError: we were taken over ourselves.
            OSError: the volume is out of order; another try goes on from here.
        """
        owners = self.survey()
        if root not in owners or root_of(root, owners) != root:
            return ()
        if self.locked.lacks(root, [name for name in owners if root_of(name, owners) == root]):
            return ()
        owner = owners[root]
        reached = owner.epoch if owner else 0
        last = max(claims_of(self.disk, self.layout, root), default=0)
        if last > reached and not self._is_abandoned(root, last, owners):
            return ()
        epoch = max(reached, last) + 1
        if not self._claim(root, epoch):
            return ()
        self._fence(root, epoch)
        return self.gather()

    def _is_abandoned(self, root: str, epoch: int, owners: Owners) -> bool:
        """Whether the claimer of an unfinished claim can't serve anything by it any more."""
        try:
            path = self.layout.at("adopt", f"{root}.{epoch}")
            claimer = read_file(self.disk, path, MAX_INCARNATION_BYTES).decode("ascii", "replace")
        except FileNotFoundError:
            return False  # the root was buried meanwhile
        if claimer in owners:
            ended = is_proven_dead(self.disk, self.layout.home(claimer), self.machine)
            return ended or root_of(claimer, owners) in (root, self.incarnation)
        return not self.disk.exists(self.layout.home(claimer))  # else it is younger than our look at the blocks

    def _claim(self, root: str, epoch: int) -> bool:
        """Make the claim's name, with our name in it from the first moment; only one of many succeeds."""
        draft = self.layout.at("adopt", f".{self.incarnation}-{self.randbits(64):016x}")
        write_file(self.disk, draft, self.incarnation.encode("ascii"))
        try:
            self.disk.link(draft, self.layout.at("adopt", f"{root}.{epoch}"))
        except FileExistsError:
            return False
        finally:
            self.disk.unlink(draft)
        self.disk.sync_dir(self.layout.at("adopt"))
        return True

    def _fence(self, name: str, epoch: int) -> None:
        """Overwrite a block: from here on its former owner acknowledges nothing."""
        if not self.still_ours():
            raise LostOwnershipError("the owner block names another incarnation")
        path = self._block(name)
        write = overwrite_owner if self.disk.exists(path) else create_owner
        write(self.disk, path, Owner(self.incarnation, epoch))

    def gather(self) -> Sequence[Home]:
        """Take what leads to us and isn't served yet; and write our name where a chain to us has more than one link.

        A chain must not depend on a directory that goes before the ones behind it.

        Raises:
            LostOwnershipError: we were taken over ourselves.
            OSError: the volume is out of order; the next call goes on.
        """
        blocks = self._read()
        served, taken = frozenset(self.served()), []
        for name in self._ours(self._past_graves(blocks)):
            home = self._gathered(name, blocks[name], is_served=name in served)
            if home is not None:
                taken.append(home)
        return taken

    def _gathered(self, name: str, owner: Owner | None, *, is_served: bool) -> Home | None:
        """One that leads to us, if it is to be served; if the volume gives it out only in part, it is read later."""
        try:
            if not self.disk.exists(self.layout.home(name)):
                return None
            if owner is None or owner.owner != self.incarnation:
                self._fence(name, 1 + (owner.epoch if owner else 0))
            return None if is_served else self._home(name)
        except FileNotFoundError:
            return None  # it was buried meanwhile
        except OSError as error:
            if isinstance(error, LostOwnershipError) or error.errno in FULL:
                raise
            self.bar(name, error)
            return None if is_served else Home(name, self.layout.home(name), False, proven=False, unlisted=True)

    def _ours(self, owners: Owners) -> Iterator[str]:
        for name in owners:
            if name != self.incarnation and root_of(name, owners) == self.incarnation:
                yield name

    def _home(self, name: str) -> Home:
        """What a process wrote on another machine may not be seen here at once, even if it has said goodbye: it is
        looked at again before anything goes."""
        path = self.layout.home(name)
        with suppress(OSError):  # what its owner kept for a full volume is ours to use
            self.disk.unlink(f"{path}/ballast")
        return Home(name, path, False, proven=is_proven_dead(self.disk, path, self.machine))

    def _block(self, name: str) -> str:
        return f"{self.layout.home(name)}/owner"

    def sweep_claims(self) -> None:
        """Remove claims of what is buried, and drafts whose makers are. What can't be removed stays, for the next time.

        Raises:
            OSError: the volume is out of order.
        """
        for name in self.disk.names(self.layout.at("adopt")):
            subject = name[1:].rpartition("-")[0] if name.startswith(".") else name.rpartition(".")[0]
            with suppress(OSError):
                if not self.disk.exists(self.layout.home(subject)):
                    self.disk.unlink(self.layout.at("adopt", name))
