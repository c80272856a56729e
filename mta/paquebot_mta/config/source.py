"""The configuration in force: watched, taken or refused; the last good one stays, in memory and on the volume."""

import asyncio
import shutil
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from paquebot_mta.config.codec import INDEX, SUFFIX, digest, load
from paquebot_mta.config.directory import Signature, read_directory, signature, write_directory
from paquebot_mta.config.errors import ConfigError, PartlyInForceError
from paquebot_mta.config.service import MtaConfig

Apply = Callable[[MtaConfig], Awaitable[None]]
"""Puts a configuration in force, all or nothing; raises ConfigError to refuse it."""
Report = Callable[["ConfigStatus"], None]
"""Hears of each change of the status."""
SAVE_SECONDS: Final = 10.0
"""Least time between two writes of the last good copy, which is synced: it may be that old."""


class ConfigStatus(Struct, frozen=True, rename="camel"):
    """What is in force and what was refused, as the admin port tells it.

    Attributes:
        generation, digest: of the configuration in force; digest is empty before the first.
        loaded_at: when it came in force, seconds since 1970.
        rejected_digest: of the newest configuration, if it was refused; else empty. Without an index it is ``-``.
        rejected_reason: where and why.
    """

    generation: int = 0
    digest: str = ""
    loaded_at: float = 0.0
    rejected_digest: str = ""
    rejected_reason: str = ""


class DirectorySource:
    """Reads configurations from a directory that is swapped as the kubelet does it.

    Args:
        path: the directory.
        last_good: where the last good copy is, in a directory that exists; None for nowhere.
        keep: whether a configuration in force shall be kept there. One with a key ring for the queue never is.
        wall_clock: seconds since 1970.
        monotonic: seconds, for the pauses between two writes of the copy.

    Attributes:
        status: what is in force, and what was refused.
        save_failures: how often the last good copy couldn't be written.
    """

    def __init__(
        self,
        path: Path,
        *,
        last_good: Path | None = None,
        keep: Callable[[MtaConfig], bool] = lambda config: True,
        wall_clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path = path
        self._last_good = last_good
        self._keep = keep
        self._wall_clock = wall_clock
        self._monotonic = monotonic
        self._seen: Signature | None = None
        self._is_partly_another = False  # than the status says: so that one is taken anew when it comes back
        self._in_force: tuple[Mapping[str, bytes], MtaConfig] | None = None
        self._unsaved: Mapping[str, bytes] | None = None
        self._save_at = 0.0
        self.status = ConfigStatus()
        self.save_failures = 0

    def load_first(self) -> MtaConfig:
        """Read the configuration to start with; blocking. The last good copy stands in for a missing or bad one.

        Call ``started`` once it is in force, or ``fall_back`` if it can't be put in force.

        Raises:
            ConfigError: neither can be used; the reason is the directory's.
        """
        self._seen = signature(self._path)
        files: Mapping[str, bytes] = {}
        try:
            files = read_directory(self._path)
            config = load(files)
        except ConfigError as error:
            self._reject(files, error)
            return self._stand_in(error)
        self._take(config)
        self._in_force = files, config
        return config

    def fall_back(self, cause: Exception) -> MtaConfig:
        """Refuse what ``load_first`` read, as it can't be put in force; answers the last good copy instead; blocking.

        Raises:
            Exception: the cause, if there is no copy, or none but of the same.
        """
        refused = self.status.digest
        if self._in_force is not None:
            self._reject(self._in_force[0], cause)
            self._in_force = None
        config = self._stand_in(cause)
        if config.digest == refused:
            raise cause
        return config

    def started(self) -> None:
        """What was read first is in force: from now on it is the last good one; blocking."""
        if self._in_force is not None:
            self._note_good(*self._in_force)
            self.save()

    async def watch(self, apply: Apply, report: Report, *, interval_seconds: float = 0.25) -> None:
        """Follow the directory until cancelled: each new version is given to ``apply``, then ``report`` hears of it.

        A version that can't be read, or that ``apply`` refuses, is refused once; the one in force stays. Polls, for
        inotify says nothing on network file systems.
        """
        while True:
            await self._poll(apply, report)
            if self._unsaved is not None and self._monotonic() >= self._save_at:
                await asyncio.to_thread(self.save)
            await asyncio.sleep(interval_seconds)

    def save(self) -> None:
        """Write the last good copy if it isn't there; blocking. A volume that refuses it must not stop mail."""
        if self._last_good is None or self._unsaved is None:
            return
        self._save_at = self._monotonic() + SAVE_SECONDS
        try:
            if self._unsaved:
                write_directory(self._last_good, self._unsaved)
            else:
                _remove(self._last_good)
        except OSError:
            self.save_failures += 1
        else:
            self._unsaved = None

    async def _poll(self, apply: Apply, report: Report) -> None:
        found = await asyncio.to_thread(signature, self._path)
        if found == self._seen:
            return
        before = self.status
        try:
            files = await asyncio.to_thread(read_directory, self._path)
        except ConfigError as error:
            # What the disk refuses now it may give the next time.
            self._seen = None
            self._reject({}, error)
        else:
            self._seen = found
            await self._try(files, apply)
        if self.status != before:
            report(self.status)

    async def _try(self, files: Mapping[str, bytes], apply: Apply) -> None:
        if _digest_of(files) == self.status.digest and not self._is_partly_another:
            # In force already: whatever was refused in between is gone.
            self.status = msgspec.structs.replace(self.status, rejected_digest="", rejected_reason="")
            return
        try:
            config = await asyncio.to_thread(load, files)
            await apply(config)
        except Exception as error:  # whatever it is, the configuration in force stays in force
            self._is_partly_another = self._is_partly_another or isinstance(error, PartlyInForceError)
            self._reject(files, error)
        else:
            self._is_partly_another = False
            self._take(config)
            self._note_good(files, config)

    def _take(self, config: MtaConfig, *, keep_rejection: bool = False) -> None:
        self.status = ConfigStatus(
            generation=config.generation,
            digest=config.digest,
            loaded_at=self._wall_clock(),
            rejected_digest=self.status.rejected_digest if keep_rejection else "",
            rejected_reason=self.status.rejected_reason if keep_rejection else "",
        )

    def _reject(self, files: Mapping[str, bytes], error: Exception) -> None:
        self.status = ConfigStatus(
            generation=self.status.generation,
            digest=self.status.digest,
            loaded_at=self.status.loaded_at,
            rejected_digest=_digest_of(files) or "-",
            rejected_reason=str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}",
        )

    def _note_good(self, files: Mapping[str, bytes], config: MtaConfig) -> None:
        """Have it kept soon; with a key ring none is, at once: it would lay the keys beside what they lock."""
        if config.service.queue.key_ring:
            self._unsaved, self._save_at = {}, 0.0
        elif self._keep(config):
            self._unsaved = files

    def _stand_in(self, cause: Exception) -> MtaConfig:
        """Take the last good copy, or raise why there is need of it."""
        if self._last_good is None:
            raise cause
        try:
            config = load(read_directory(self._last_good))
        except ConfigError:
            raise cause from None
        self._take(config, keep_rejection=True)
        return config


def _remove(directory: Path) -> None:
    """Remove a directory, which other processes may do at the same time.

    Raises:
        OSError: it is still there.
    """
    shutil.rmtree(directory, ignore_errors=True)
    if directory.exists():
        raise OSError(f"{directory} can't be removed")


def _digest_of(files: Mapping[str, bytes]) -> str:
    index = files.get(INDEX + SUFFIX)
    return digest(index) if index is not None else ""
