"""Mail that no key of ours opens is left alone: not claimed, so that who has the key can, and tried when keys come.

To serve the rest of a group without it would deliver twice whatever the locked part says was delivered.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress

from paquebot_mta.spool.disk import Disk
from paquebot_mta.spool.keys import KeyRing, MissingKeyError
from paquebot_mta.spool.layout import Layout, parse_segment_name
from paquebot_mta.spool.scan import read_header
from paquebot_mta.spool.sealer import Sealer

Lacking = Counter[int]
"""Segments by the id of the key that would open them."""


class Locked:
    """Keeps in mind which dead roots wait for a key; asked by the watching thread, read by any."""

    def __init__(self, disk: Disk, layout: Layout, sealer: Sealer) -> None:
        """Nothing is known to be locked."""
        self._disk = disk
        self._layout = layout
        self._sealer = sealer
        self._roots: dict[str, tuple[KeyRing, Lacking]] = {}

    @property
    def roots(self) -> Mapping[str, Lacking]:
        """What waits now."""
        return {root: lacking for root, (_, lacking) in self._roots.copy().items()}

    def keep(self, roots: Collection[str]) -> None:
        """Forget all roots but these: others have taken them."""
        self._roots = {root: known for root, known in self._roots.items() if root in roots}

    def lacks(self, root: str, group: Iterable[str]) -> bool:
        """Whether something of a root's group can't be opened. It is looked at once for each key ring.

        Raises:
            OSError: the root can't be listed, or the volume is out of order.
        """
        ring = self._sealer.ring
        known = self._roots.get(root)
        if known is not None and known[0] is ring:
            return True
        lacking = Lacking()
        for name in group:
            try:
                lacking += self._look(name)
            except OSError:
                if name == root:
                    raise  # somebody else may read it; of a member, who takes the others waits until it can
        if lacking:
            self._roots = {**self._roots, root: (ring, lacking)}
        else:
            self._roots = {name: known for name, known in self._roots.items() if name != root}
        return bool(lacking)

    def _look(self, name: str) -> Lacking:
        home, lacking = self._layout.home(name), Lacking()
        with suppress(FileNotFoundError):  # buried meanwhile
            for segment in self._disk.names(home):
                if parse_segment_name(segment) is not None:
                    with suppress(FileNotFoundError):
                        lacking[self._missing(f"{home}/{segment}")] += 1
        del lacking[0]
        return lacking

    def _missing(self, path: str) -> int:
        """The id of the key that is missing, 0 if none is."""
        try:
            header = read_header(self._disk, path)
            if header is not None and header.readable:
                self._sealer.open(header)
        except MissingKeyError as error:
            return error.kid
        except FileNotFoundError:
            raise
        except OSError:
            return 0  # who reads it will hold it, and try again
        return 0
