"""A private Dovecot that does nothing but check passwords, for a Postfix that asks it (`smtpd_sasl_type = dovecot`)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .next_hop import Login
from .processes import PeerProcess, check_traversable, find_program


@contextmanager
def running_dovecot_auth(directory: Path, login: Login) -> Iterator[Path]:
    """Run it in `directory` until the end of the block; the value is the unix socket where it knows `login` only."""
    directory.mkdir(exist_ok=True)
    check_traversable(directory)
    socket_path = directory / "auth.sock"
    (directory / "users").write_text(f"{login.user}:{{PLAIN}}{login.password}\n")
    config = directory / "dovecot.conf"
    config.write_text(_configuration(directory, socket_path))
    with PeerProcess([find_program("dovecot"), "-F", "-c", str(config)], directory / "dovecot.log") as process:
        process.wait_for_socket(socket_path)
        yield socket_path


def _configuration(directory: Path, socket_path: Path) -> str:
    return f"""\
base_dir = {directory}/run
state_dir = {directory}/state
log_path = /dev/stderr
protocols =
ssl = no
auth_mechanisms = plain
passdb {{
  driver = passwd-file
  args = {directory}/users
}}
service auth {{
  unix_listener {socket_path} {{
    mode = 0666
  }}
}}
service stats {{
  unix_listener stats-writer {{
    mode = 0666
  }}
}}
"""
