"""A private instance of Debian's Exim, as sender and as next hop.

Configuration, spool and log lie below the given directory; it relays all mail of loopback and delivers none. Needs
root and the unpacked package (`unpacked`).
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from .certificates import CertificateFiles
from .next_hop import Hop, Login
from .processes import LOOPBACK, PeerProcess, check_traversable, free_port, run_command
from .unpacked import FIRST_ID, give_to, package_directory, with_mounts, with_users

PACKAGE = "exim4-daemon-light"
_USER, _ID = "Debian-exim", FIRST_ID


@dataclass(frozen=True)
class EximSettings:
    """What a test chooses.

    Mail for the domains of `routes` goes to their hops, all other mail to `default`. With a `certificate` there are
    STARTTLS and, for the only user `login`, AUTH PLAIN; its authority is what hops with TLS are checked against.
    With `only_queues` no mail leaves the queue.
    """

    default: Hop
    certificate: CertificateFiles
    routes: Mapping[str, Hop] = field(default_factory=dict)
    login: Login = Login("joe", "secret")  # noqa: RUF009 - a value
    hostname: str = "exim.test"
    only_queues: bool = False


class Exim:
    """A running Exim; made by `running_exim`."""

    def __init__(self, directory: Path, port: int, settings: EximSettings) -> None:
        self.port = port
        self.directory = directory
        for name in ("spool", "tls", "log"):
            (directory / name).mkdir()
            give_to(directory / name, _ID)
        program = directory / "program"
        program.mkdir()
        log_path = directory / "log" / "main.log"
        log_path.touch()
        give_to(log_path, _ID)
        _copy_certificate(directory / "tls", settings.certificate)
        config = directory / "exim.conf"
        config.write_text(_configuration(directory, port, settings))
        self._runs = [] if settings.only_queues else ["-q1s"]
        self._log_path = log_path
        self._argv = [f"{program}/usr/sbin/exim4", "-C", str(config)]
        self._mounts = {program: package_directory(PACKAGE), **with_users(directory, {_USER: _ID})}
        self.process = self._start()

    def _start(self) -> PeerProcess:
        return PeerProcess(with_mounts([*self._argv, "-bdf", *self._runs], self._mounts), self._log_path)

    def restart(self) -> None:
        """Start it again on the same queue, after its end."""
        self.process = self._start()
        self.process.wait_for_port(self.port)

    def release(self) -> None:
        """Try all that is queued now, even with `only_queues`; takes as long as the deliveries do."""
        run_command(with_mounts([*self._argv, "-qff"], self._mounts), timeout_seconds=600.0).checked()

    def log(self) -> str:
        """Return Exim's log."""
        return self.process.log()


@contextmanager
def running_exim(directory: Path, settings: EximSettings, port: int = 0) -> Iterator[Exim]:
    """Run an Exim in `directory` (see `peer_directory`) until the end of the block; port 0 chooses a free one."""
    directory.mkdir(exist_ok=True)
    check_traversable(directory)
    exim = Exim(directory, port or free_port(), settings)
    with exim.process as process:
        process.wait_for_port(exim.port)
        yield exim


def _copy_certificate(place: Path, files: CertificateFiles) -> None:
    """Copy it to where Exim can read it, which gives up root before it needs the key."""
    for name, source in (("certificate", files.certificate), ("key", files.key), ("authority", files.authority)):
        shutil.copyfile(source, place / name)
        give_to(place / name, _ID)
    (place / "key").chmod(0o600)


def _configuration(directory: Path, port: int, settings: EximSettings) -> str:
    hops = [*settings.routes.items(), ("*", settings.default)]
    routers = [_router(number, domain, hop) for number, (domain, hop) in enumerate(hops)]
    transports = [_transport(number, hop, directory) for number, (_, hop) in enumerate(hops)]
    logins = {hop.login for _, hop in hops if hop.login}
    clients = [_client(number, login) for number, login in enumerate(logins)]
    parts = [
        _main(directory, port, settings),
        "begin acl",
        "begin routers",
        *routers,
        "begin transports",
        *transports,
        "begin retry",
        "* * F,1h,1s",
        "begin authenticators",
        _server(settings.login),
        *clients,
    ]
    return "\n".join(parts) + "\n"


def _main(directory: Path, port: int, settings: EximSettings) -> str:
    return f"""\
primary_hostname = {settings.hostname}
exim_path = {directory}/program/usr/sbin/exim4
spool_directory = {directory}/spool
log_file_path = {directory}/log/%s.log
pid_file_path = {directory}/spool/exim.pid
deliver_drop_privilege = true
keep_environment =
disable_ipv6 = true
local_interfaces = {LOOPBACK}
daemon_smtp_ports = {port}
rfc1413_query_timeout = 0s
smtp_accept_max = 0
smtp_accept_max_per_connection = 0
queue_only = {str(settings.only_queues).lower()}
message_size_limit = 60M
acl_smtp_rcpt = accept
acl_smtp_data = accept
dsn_advertise_hosts = *
smtputf8_advertise_hosts = *
chunking_advertise_hosts = *
tls_advertise_hosts = *
tls_certificate = {directory}/tls/certificate
tls_privatekey = {directory}/tls/key
log_selector = +tls_cipher +tls_peerdn"""


def _router(number: int, domain: str, hop: Hop) -> str:
    # `self = send`: the hop is this very host, at another port.
    return f"""\
router_{number}:
  driver = manualroute
  domains = {domain}
  transport = transport_{number}
  route_list = * localhost::{hop.port} byname
  self = send
  no_more
"""


def _transport(number: int, hop: Hop, directory: Path) -> str:
    verified = f"""
  hosts_require_tls = *
  tls_verify_certificates = {directory}/tls/authority
  tls_verify_hosts = *
  tls_verify_cert_hostnames = *"""
    tls = verified if hop.is_tls else "\n  hosts_avoid_tls = *"
    auth = "\n  hosts_require_auth = *" if hop.login else ""
    return f"""\
transport_{number}:
  driver = smtp{tls}{auth}
"""


def _server(login: Login) -> str:
    return f"""\
server:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = ${{if and{{{{eq{{$auth2}}{{{login.user}}}}}{{eq{{$auth3}}{{{login.password}}}}}}}}}
  server_set_id = $auth2
  server_advertise_condition = ${{if def:tls_in_cipher}}
"""


def _client(number: int, login: Login) -> str:
    return f"""\
client_{number}:
  driver = plaintext
  public_name = PLAIN
  client_send = ^{login.user}^{login.password}
"""
