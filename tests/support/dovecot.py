"""A private Dovecot that speaks LMTP over TCP and a unix socket, as a delivery target with per-recipient results.

Everything lies below the given directory; /etc/dovecot is never read. Needs root and the users of Debian's package.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .certificates import CertificateFiles
from .processes import (
    LOOPBACK,
    UNIX_PATH_MAX,
    PeerError,
    PeerProcess,
    check_traversable,
    find_program,
    free_port,
)

_UID = 8  # the unprivileged user `mail` that every Debian has


@dataclass(frozen=True)
class DovecotSettings:
    """What a test chooses.

    `users` are addresses that have a maildir; every other one gets 550 at RCPT. `full_users` have no quota left: 552 at
    RCPT, or after the content when `checks_quota_at_rcpt` is false, and 452 instead when `full_is_temporary`.
    `broken_users` are known, but looking them up fails for now: 451 at RCPT.
    """

    users: tuple[str, ...] = ("alice@example.test", "bob@example.test")
    full_users: tuple[str, ...] = ()
    broken_users: tuple[str, ...] = ()
    checks_quota_at_rcpt: bool = True
    full_is_temporary: bool = False
    certificate: CertificateFiles | None = None


class Dovecot:
    """A running Dovecot; made by `running_dovecot`."""

    def __init__(self, directory: Path, port: int, settings: DovecotSettings) -> None:
        self.port = port
        self.socket_path = directory / "lmtp.sock"
        if len(str(self.socket_path)) > UNIX_PATH_MAX:
            raise PeerError(f"{self.socket_path} is too long for a unix socket: use peer_directory()")
        self.mail_directory = directory / "mail"
        self.mail_directory.mkdir()
        self.mail_directory.chmod(0o777)
        for user in settings.full_users:
            _fill(self.mail_directory / user)
        (directory / "users").write_text(_users_file(self.mail_directory, settings))
        config = directory / "dovecot.conf"
        config.write_text(_configuration(directory, port, settings))
        self.process = PeerProcess([find_program("dovecot"), "-F", "-c", str(config)], directory / "dovecot.log")

    def delivered(self, user: str) -> list[bytes]:
        """Return the messages of the address `user`, the oldest first, as they lie on disk."""
        new = self.mail_directory / user / "Maildir" / "new"
        files = sorted(new.iterdir(), key=lambda path: path.stat().st_mtime_ns) if new.is_dir() else []
        return [path.read_bytes() for path in files]

    def wait_for_delivered(self, user: str, count: int = 1, timeout_seconds: float = 15.0) -> list[bytes]:
        """Wait until `user` has `count` messages and return all that there are."""
        self.process.wait_for(
            lambda: len(self.delivered(user)) >= count, f"{count} messages of {user}", timeout_seconds
        )
        return self.delivered(user)


@contextmanager
def running_dovecot(directory: Path, settings: DovecotSettings | None = None, port: int = 0) -> Iterator[Dovecot]:
    """Run a Dovecot in `directory` (see `peer_directory`) until the end of the block; port 0 chooses a free one."""
    directory.mkdir(exist_ok=True)
    check_traversable(directory)
    dovecot = Dovecot(directory, port or free_port(), settings or DovecotSettings())
    with dovecot.process as process:
        process.wait_for_port(dovecot.port)
        process.wait_for_socket(dovecot.socket_path)
        yield dovecot


def _users_file(mail_directory: Path, settings: DovecotSettings) -> str:
    lines = [_user(mail_directory, user) for user in settings.users]
    # The quota is 1 byte (0 would mean that there is none), and `_fill` has used it up.
    lines += [_user(mail_directory, user, "userdb_quota_rule=*:bytes=1") for user in settings.full_users]
    lines += [_user(mail_directory, user, "userdb_tempfail=yes") for user in settings.broken_users]
    return "".join(lines)


def _fill(home: Path) -> None:
    """Put an old message into a maildir, so that the quota is exceeded already when RCPT comes."""
    for path in (home, home / "Maildir", *(home / "Maildir" / name for name in ("cur", "new", "tmp"))):
        path.mkdir()
        os.chown(path, _UID, _UID)
    (home / "Maildir" / "cur" / "1000000000.full:2,S").write_bytes(b"Subject: old\r\n\r\nold\r\n")


def _user(mail_directory: Path, user: str, extra: str = "") -> str:
    """Return a line of Dovecot's passwd-file: user:password:uid:gid:gecos:home:shell:extra."""
    return f"{user}::{_UID}:{_UID}::{mail_directory}/{user}::{extra}\n"


def _tls(files: CertificateFiles | None) -> str:
    if files is None:
        return "ssl = no"
    return f"ssl = yes\nssl_cert = <{files.certificate}\nssl_key = <{files.key}"


def _configuration(directory: Path, port: int, settings: DovecotSettings) -> str:
    return f"""\
base_dir = {directory}/run
state_dir = {directory}/state
log_path = /dev/stderr
info_log_path = /dev/stderr
protocols = lmtp
listen = {LOOPBACK}
first_valid_uid = {_UID}
first_valid_gid = {_UID}
{_tls(settings.certificate)}
auth_username_format = %Lu
mail_location = maildir:~/Maildir
mail_plugins = quota
lmtp_rcpt_check_quota = {_yes(settings.checks_quota_at_rcpt)}
quota_full_tempfail = {_yes(settings.full_is_temporary)}
plugin {{
  quota = maildir:storage
}}
passdb {{
  driver = passwd-file
  args = {directory}/users
}}
userdb {{
  driver = passwd-file
  args = {directory}/users
}}
service lmtp {{
  inet_listener lmtp {{
    address = {LOOPBACK}
    port = {port}
  }}
  unix_listener {directory}/lmtp.sock {{
    mode = 0666
  }}
}}
service stats {{
  unix_listener stats-writer {{
    mode = 0666
  }}
}}
"""


def _yes(value: bool) -> str:
    return "yes" if value else "no"
