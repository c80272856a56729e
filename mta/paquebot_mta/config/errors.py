"""What is wrong with a configuration: where, and why. Values first, so that several faults come back at once."""

from collections.abc import Iterable
from typing import Self

from msgspec import Struct


class Fault(Struct, frozen=True):
    """One fault.

    Attributes:
        path: shard and JSON path, ``service.rules[2].action`` or ``domains-1f.domains[0].aliases["alice"]``.
        reason: one sentence for a person.
    """

    path: str
    reason: str

    def __str__(self) -> str:
        """Path and reason in one line."""
        return f"{self.path}: {self.reason}"


class ConfigError(ValueError):
    """A configuration can't be used.

    Attributes:
        path, reason: of the first fault.
        faults: all that were found.
    """

    def __init__(self, path: str, reason: str, more: Iterable[Fault] = ()) -> None:
        self.path = path
        self.reason = reason
        self.faults = (Fault(path, reason), *more)
        super().__init__("; ".join(str(fault) for fault in self.faults))

    @classmethod
    def of(cls, faults: Iterable[Fault]) -> Self:
        """Make one error of at least one fault."""
        first, *more = faults
        return cls(first.path, first.reason, more)


class PartlyInForceError(ConfigError):
    """All of a configuration that can be is in force, but not the whole of it."""


class Faults:
    """Collects faults while a document is checked."""

    def __init__(self) -> None:
        self.found: list[Fault] = []

    def add(self, path: str, reason: str) -> None:
        """Note a fault."""
        self.found.append(Fault(path, reason))

    def add_if(self, path: str, reason: str) -> None:
        """Note a fault if there is a reason."""
        if reason:
            self.add(path, reason)

    def check(self, *, that: bool, path: str, reason: str) -> None:
        """Note a fault unless ``that`` holds."""
        if not that:
            self.add(path, reason)

    def stop_if_any(self) -> None:
        """Give up with all faults found so far.

        Raises:
            ConfigError: there is at least one.
        """
        if self.found:
            raise ConfigError.of(self.found)
