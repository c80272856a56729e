"""A private instance of Debian's OpenSMTPD, as sender and as next hop.

Its built-in places (/var/spool, /var/lib, /run, its helper programs, the bundle of authorities) are directories below
the given one, so it relays all mail of loopback and delivers none, and the machine's are not touched. Needs root and
the unpacked package (`unpacked`).
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import bcrypt

from .certificates import CertificateFiles
from .next_hop import Hop, Login
from .processes import LOOPBACK, PeerProcess, check_traversable, free_port
from .unpacked import FIRST_ID, give_to, package_directory, with_mounts, with_users

PACKAGE = "opensmtpd"
ANONYMOUS = "aNULL:@SECLEVEL=0"
"""Ciphers of TLS 1.2 that need no private key. The package can't sign with its own any more: it hands that to another
process by means that OpenSSL 3 took away. It can agree on a key without signing anything."""
_DAEMON, _QUEUE = FIRST_ID + 1, FIRST_ID + 2


@dataclass(frozen=True)
class OpenSmtpdSettings:
    """What a test chooses.

    Mail for the domains of `routes` goes to their hops, all other mail to `default`. There are STARTTLS and, for the
    only user `login`, AUTH; the certificate's authority is what hops with TLS are checked against.
    `filter_command` is run by a shell as root, and filters every session, after the `builtin_filters`: what stands
    behind the names of such filters in smtpd.conf(5).
    `ciphers` is what it offers in TLS, empty for its own choice.
    With `only_queues` no mail leaves the queue, and a client may send as many messages as it likes.
    """

    default: Hop
    certificate: CertificateFiles
    routes: Mapping[str, Hop] = field(default_factory=dict)
    login: Login = Login("joe", "secret")  # noqa: RUF009 - a value
    hostname: str = "opensmtpd.test"
    only_queues: bool = False
    filter_command: str = ""
    builtin_filters: Mapping[str, str] = field(default_factory=dict)
    ciphers: str = ""


class OpenSmtpd:
    """A running OpenSMTPD; made by `running_opensmtpd`."""

    def __init__(self, directory: Path, port: int, settings: OpenSmtpdSettings) -> None:
        self.port = port
        self.directory = directory
        program = directory / "program"
        program.mkdir()
        # It would ask the machine's name server about loopback before it looks into /etc/hosts.
        (directory / "resolv.conf").write_text("lookup file\n")
        mounts = {Path("/etc/resolv.conf"): directory / "resolv.conf"}
        mounts |= {program: package_directory(PACKAGE), **_places(directory, settings)}
        mounts[Path("/usr/libexec")] = package_directory(PACKAGE) / "usr/libexec"
        mounts |= with_users(directory, {"opensmtpd": _DAEMON, "opensmtpq": _QUEUE})
        _copy_key(directory, settings.certificate)
        _write_tables(directory, settings)
        config = directory / "smtpd.conf"
        config.write_text(_configuration(directory, port, settings))
        config.chmod(0o600)
        self._argv = [f"{program}/usr/sbin/smtpd", "-d", "-f", str(config)]
        self._mounts = mounts
        self.process = self._start(only_queues=settings.only_queues)

    def _start(self, *, only_queues: bool) -> PeerProcess:
        argv = [*self._argv, *(["-P", "mta"] if only_queues else [])]
        return PeerProcess(with_mounts(argv, self._mounts), self.directory / "opensmtpd.log")

    def restart(self, *, only_queues: bool = False) -> None:
        """Start it again on the same queue, after its end."""
        self.process = self._start(only_queues=only_queues)
        self.process.wait_for_port(self.port)

    def log(self) -> str:
        """Return OpenSMTPD's log."""
        return self.process.log()


@contextmanager
def running_opensmtpd(directory: Path, settings: OpenSmtpdSettings, port: int = 0) -> Iterator[OpenSmtpd]:
    """Run an OpenSMTPD in `directory` (see `peer_directory`) to the end of the block; port 0 chooses a free one."""
    directory.mkdir(exist_ok=True)
    check_traversable(directory)
    opensmtpd = OpenSmtpd(directory, port or free_port(), settings)
    with opensmtpd.process as process:
        process.wait_for_port(opensmtpd.port)
        yield opensmtpd


def _places(directory: Path, settings: OpenSmtpdSettings) -> dict[Path, Path]:
    """Make the built-in places; the queue refuses to work unless the spool's mode is 711."""
    spool, state, run = directory / "spool", directory / "state", directory / "run"
    for path in (spool, spool / "smtpd", state, state / "opensmtpd", state / "opensmtpd" / "empty", run):
        path.mkdir()
    (spool / "smtpd").chmod(0o711)
    bundle = Path("/etc/ssl/certs/ca-certificates.crt")
    return {
        Path("/var/spool"): spool,
        Path("/var/lib"): state,
        Path("/run"): run,
        bundle: settings.certificate.authority,
    }


def _copy_key(directory: Path, files: CertificateFiles) -> None:
    for name, source in (("server.crt", files.certificate), ("server.key", files.key)):
        shutil.copyfile(source, directory / name)
        (directory / name).chmod(0o600)


def _write_tables(directory: Path, settings: OpenSmtpdSettings) -> None:
    """Write who may authenticate, and as whom it does so itself: the label of an action is its port."""
    hashed = bcrypt.hashpw(settings.login.password.encode(), bcrypt.gensalt(rounds=4)).decode()
    logins = {hop.port: hop.login for hop in settings.routes.values() if hop.login}
    tables = {
        "users": f"{settings.login.user}\t{hashed}\n",
        "secrets": "".join(f"{port}\t{login.user}:{login.password}\n" for port, login in logins.items()),
    }
    for name, text in tables.items():
        (directory / name).write_text(text)
        (directory / name).chmod(0o640)
        give_to(directory / name, _DAEMON)


def _configuration(directory: Path, port: int, settings: OpenSmtpdSettings) -> str:
    hops = [*settings.routes.items(), ("", settings.default)]
    parts = [
        f'pki "server" cert "{directory}/server.crt"',
        f'pki "server" key "{directory}/server.key"',
        f'table secrets "file:{directory}/secrets"',
        f'table users "file:{directory}/users"',
        *(["smtp limit max-mails 1000000"] if settings.only_queues else []),
        *([f'smtp ciphers "{settings.ciphers}"'] if settings.ciphers else []),
        *(_filters(settings) if settings.filter_command else []),
        f'listen on {LOOPBACK} port {port} tls pki "server" auth-optional <users> hostname "{settings.hostname}"'
        + (" filter all" if settings.filter_command else ""),
        *(_action(number, hop) for number, (_, hop) in enumerate(hops)),
        *(_match(number, domain) for number, (domain, _) in enumerate(hops)),
    ]
    return "\n".join(parts) + "\n"


def _filters(settings: OpenSmtpdSettings) -> list[str]:
    names = ", ".join([*(f'"{name}"' for name in settings.builtin_filters), "probe"])
    return [
        f'filter probe proc-exec "{settings.filter_command}" user root group root',
        *(f'filter "{name}" {text}' for name, text in settings.builtin_filters.items()),
        f"filter all chain {{ {names} }}",
    ]


def _action(number: int, hop: Hop) -> str:
    scheme = "smtp+tls" if hop.is_tls else "smtp+notls"
    label, auth = (f"{hop.port}@", " auth <secrets>") if hop.login else ("", "")
    return f'action "hop{number}" relay host {scheme}://{label}localhost:{hop.port}{auth}'


def _match(number: int, domain: str) -> str:
    wanted = f'domain "{domain}"' if domain else "any"
    return f'match from any for {wanted} action "hop{number}"'
