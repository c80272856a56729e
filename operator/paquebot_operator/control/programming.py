"""Which MailDomains are programmed: every ready pod runs a configuration with the domain's newest entry.

A change costs as many steps as entries change, however many domains there are.
"""

from collections.abc import Iterable, Mapping

from paquebot_operator.compile.objects import ObjectKey

Entry = tuple[str, str]
"""Name of a domain, and revision of its entry."""


class Programming:
    """Entries of one service.

    Attributes:
        programmed: revision that all ready pods had at one time, by MailDomain. Pods that come later start with it, so
            it stays true without being written again.
    """

    def __init__(self, programmed: Mapping[ObjectKey, str]) -> None:
        self.programmed = dict(programmed)
        self._entries: dict[ObjectKey, Entry] = {}
        self._waiting: dict[ObjectKey, int] = {}
        self._numbers: dict[str, int] = {}
        self._number = 0
        self._wanted = ""

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def waiting(self) -> int:
        """How many entries are not programmed yet."""
        return len(self._waiting)

    def waiting_keys(self) -> set[ObjectKey]:
        """MailDomains whose entries are not programmed yet."""
        return set(self._waiting)

    def want(self, digest: str, entries: Mapping[ObjectKey, Entry]) -> set[ObjectKey]:
        """Take a configuration as the one that pods should run; the MailDomains whose entry is another than before.

        What it was already costs nothing.
        """
        if digest == self._wanted and entries == self._entries:
            return set()
        self._wanted = digest
        self._number += 1
        self._numbers[digest] = self._number
        changed = {key for key, entry in entries.items() if self._entries.get(key) != entry}
        gone = self._entries.keys() - entries.keys()
        self._entries = dict(entries)
        for key in gone:
            self._waiting.pop(key, None)
            self.programmed.pop(key, None)
        for key in changed:
            if self.programmed.get(key) == entries[key][1]:
                self._waiting.pop(key, None)
            else:
                self._waiting[key] = self._number
        return changed | gone

    def serve(self, digests: Iterable[str]) -> set[ObjectKey]:
        """Take what the ready pods run; the MailDomains that are programmed by it and were not."""
        numbers = [self._numbers.get(digest, 0) for digest in digests]
        if not numbers or not self._waiting:
            return set()
        done = {key for key, number in self._waiting.items() if number <= min(numbers)}
        for key in done:
            del self._waiting[key]
            self.programmed[key] = self._entries[key][1]
        return done

    def revision(self, key: ObjectKey) -> str:
        """Revision of the entry that pods should run; empty without one."""
        return self._entries.get(key, ("", ""))[1]

    def is_programmed(self, key: ObjectKey) -> bool:
        """Whether all ready pods have its newest entry."""
        return key in self._entries and key not in self._waiting
