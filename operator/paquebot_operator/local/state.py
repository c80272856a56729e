"""The state directory of a local run: lock, certificates, passwords. Secrets are readable by their owner only."""

import contextlib
import fcntl
import os
import secrets
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import bcrypt

from paquebot_mta.config.directory import write_directory
from paquebot_operator.api.common import ObjectMeta
from paquebot_operator.api.core import Secret
from paquebot_operator.local.self_signed import is_still_good, make_certificate
from paquebot_operator.local.wanted import Wanted, WantedCertificate, WantedUsers

PASSWORD_BYTES = 18
BCRYPT_COST = 10


class StateBusyError(RuntimeError):
    """Another run uses the directory."""


@dataclass(frozen=True)
class State:
    """Paths under the state directory, and what is kept there between runs."""

    root: Path

    @property
    def config(self) -> Path:
        """Where the compiled configuration is written."""
        return self.root / "config"

    @property
    def spool(self) -> Path:
        """The queue."""
        return self.root / "spool"

    @property
    def runtime(self) -> Path:
        """Sockets."""
        return self.root / "run"

    @property
    def credentials(self) -> Path:
        """``user password`` lines for people."""
        return self.root / "credentials.txt"

    def certificate_file(self, wanted: WantedCertificate) -> Path:
        """Where a generated certificate lies; its key beside it."""
        namespace = "" if wanted.key.namespace == "default" else wanted.key.namespace
        return self.root / "tls" / namespace / f"{wanted.key.name}.crt"

    def write(self, files: Mapping[str, bytes]) -> None:
        """Make these files the configuration that the MTA reads.

        Raises:
            OSError: the disk refused.
        """
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_directory(self.config, files)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the directory for one run.

        Raises:
            StateBusyError: another run holds it.
        """
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (self.root / "lock").open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise StateBusyError(f"{self.root} is in use by another run") from None
            yield

    def secrets_for(self, wanted: Iterable[Wanted], now: datetime) -> tuple[Secret, ...]:
        """Secrets that were asked for: those of the last run, new ones where there are none."""
        return tuple(
            self._certificate(each, now) if isinstance(each, WantedCertificate) else self._users(each)
            for each in wanted
        )

    def _certificate(self, wanted: WantedCertificate, now: datetime) -> Secret:
        chain_file = self.certificate_file(wanted)
        key_file = chain_file.with_suffix(".key")
        if not (
            chain_file.exists() and key_file.exists() and is_still_good(chain_file.read_bytes(), wanted.hostname, now)
        ):
            chain, key = make_certificate(wanted.hostname, now)
            write_private(key_file, key)
            write_private(chain_file, chain)
        return certificate_secret(wanted, chain_file.read_bytes(), key_file.read_bytes())

    def _users(self, wanted: WantedUsers) -> Secret:
        passwords, hashed = _read_pairs(self.credentials), _read_pairs(self.root / "credentials.hashes")
        for user in wanted.users:
            password = passwords.setdefault(user, secrets.token_urlsafe(PASSWORD_BYTES))
            if not _verifies(password, hashed.get(user, "")):
                hashed[user] = bcrypt.hashpw(password.encode(), bcrypt.gensalt(BCRYPT_COST)).decode()
        _write_pairs(self.credentials, passwords)
        _write_pairs(self.root / "credentials.hashes", hashed)
        return users_secret(wanted, {user: hashed[user] for user in wanted.users})


def certificate_secret(wanted: WantedCertificate, chain: bytes, key: bytes) -> Secret:
    """A Secret of type kubernetes.io/tls."""
    data = {"tls.crt": chain.decode("ascii"), "tls.key": key.decode("ascii")}
    return _secret(wanted, data, "kubernetes.io/tls")


def users_secret(wanted: WantedUsers, hashed: Mapping[str, str]) -> Secret:
    """A Secret with the text of a credentials table."""
    text = "".join(f"{user} {value}\n" for user, value in sorted(hashed.items()))
    return _secret(wanted, {wanted.data_key: text}, "Opaque")


def write_private(path: Path, content: bytes) -> None:
    """Replace a file at once by one that only its owner may read."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def _secret(wanted: Wanted, data: dict[str, str], type_: str) -> Secret:
    metadata = ObjectMeta(name=wanted.key.name, namespace=wanted.key.namespace)
    return Secret(api_version="v1", kind="Secret", metadata=metadata, type=type_, string_data=data)


def _verifies(password: str, hashed: str) -> bool:
    try:
        return bcrypt.checkpw(password.encode(), hashed.encode())
    except ValueError:
        return False


def _read_pairs(path: Path) -> dict[str, str]:
    if not path.exists():
        return {}
    lines = (line.split() for line in path.read_text(encoding="utf-8").splitlines())
    return {parts[0]: parts[1] for parts in lines if len(parts) == 2}


def _write_pairs(path: Path, pairs: Mapping[str, str]) -> None:
    content = "".join(f"{key} {value}\n" for key, value in sorted(pairs.items())).encode()
    if not path.exists() or path.read_bytes() != content:
        write_private(path, content)
