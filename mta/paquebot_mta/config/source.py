"""The configuration in force: watched, taken or refused; the last good one stays, in memory and on the volume."""

import asyncio
import shutil
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import msgspec
from msgspec import Struct

from paquebot_mta.config.codec import INDEX, SUFFIX, digest, load
from paquebot_mta.config.directory import Signature, read_directory, signature, write_directory
from paquebot_mta.config.errors import ConfigError
from paquebot_mta.config.service import MtaConfig

Apply = Callable[[MtaConfig], Awaitable[None]]
"""Puts a configuration in force, all or nothing; raises ConfigError to refuse it."""
Report = Callable[["ConfigStatus"], None]
"""Hears of each change of the status."""


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
        last_good: where the last good copy is kept, None for nowhere; of several workers one keeps it. A configuration
            with a key ring for the queue is never kept.
        wall_clock: seconds since 1970.

    Attributes:
        status: what is in force, and what was refused.
        save_failures: how often the last good copy couldn't be written.
    """

    def __init__(
        self, path: Path, *, last_good: Path | None = None, wall_clock: Callable[[], float] = time.time
    ) -> None:
        self._path = path
        self._last_good = last_good
        self._wall_clock = wall_clock
        self._seen: Signature | None = None
        self.status = ConfigStatus()
        self.save_failures = 0

    def load_first(self) -> MtaConfig:
        """Read the configuration to start with; blocking. The last good copy stands in for a missing or bad one.

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
            config = self._load_last_good(error)
            self._take(config, keep_rejection=True)
        else:
            self._take(config)
            self._save(files, config)
        return config

    async def watch(self, apply: Apply, report: Report, *, interval_seconds: float = 0.25) -> None:
        """Follow the directory until cancelled: each new version is given to ``apply``, then ``report`` hears of it.

        A version that can't be read, or that ``apply`` refuses, is refused once; the one in force stays. Polls, for
        inotify says nothing on network file systems.
        """
        while True:
            await self._poll(apply, report)
            await asyncio.sleep(interval_seconds)

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
        if _digest_of(files) == self.status.digest:
            # In force already: whatever was refused in between is gone.
            self.status = msgspec.structs.replace(self.status, rejected_digest="", rejected_reason="")
            return
        try:
            config = await asyncio.to_thread(load, files)
            await apply(config)
        except Exception as error:  # whatever it is, the configuration in force stays in force
            self._reject(files, error)
        else:
            self._take(config)
            await asyncio.to_thread(self._save, files, config)

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

    def _save(self, files: Mapping[str, bytes], config: MtaConfig) -> None:
        """Keep the last good copy; a volume that refuses it must not stop mail.

        With a key ring none is kept: it would lay the keys beside what they lock.
        """
        if self._last_good is None:
            return
        try:
            if not config.service.queue.key_ring:
                write_directory(self._last_good, files)
            else:
                _remove(self._last_good)
        except OSError:
            self.save_failures += 1

    def _load_last_good(self, cause: ConfigError) -> MtaConfig:
        if self._last_good is None:
            raise cause
        try:
            return load(read_directory(self._last_good))
        except ConfigError:
            raise cause from None


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
