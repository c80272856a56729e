"""A private Haraka: installed from the lock file beside this module, outside the checkout, and run as a relay.

Needs node and npm. It queues on disk, without syncs, and relays all mail of loopback to one port.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.processes import LOOPBACK, PeerProcess, find_program, free_port, run_command

PROCESSES = 2
LOCKED = Path(__file__).parent / "haraka"
INSTALL_SECONDS = 120.0
_OFFLINE = ("--ignore-scripts", "--omit=optional", "--no-audit", "--no-fund")
_PLUGIN = """\
exports.register = function () {
    this.register_hook('rcpt', 'take')
    this.register_hook('get_mx', 'hop')
}
exports.take = (next, connection) => { connection.relaying = true; next(OK) }
exports.hop = (next) => next(OK, { priority: 0, exchange: '%s', port: %d })
"""


@dataclass(frozen=True)
class Haraka:
    """A running Haraka; its queue has one file for each message."""

    port: int
    process: PeerProcess
    queue: Path


def installed_haraka() -> Path:
    """Return its directory; at first what the lock file names is fetched. Raises `PeerError` if it can't be."""
    lock = LOCKED / "package-lock.json"
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "paquebot"
    place = cache / f"haraka-{hashlib.sha256(lock.read_bytes()).hexdigest()[:12]}"
    package = place / "node_modules" / "Haraka"
    if not (place / "complete").exists():
        npm = find_program("npm")
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        for path in (lock, LOCKED / "package.json"):
            shutil.copyfile(path, place / path.name)
        run_command([npm, "ci", "--prefix", str(place), *_OFFLINE], timeout_seconds=INSTALL_SECONDS).checked()
        (place / "complete").touch()
    return package


@contextmanager
def running_haraka(directory: Path, next_hop: int) -> Iterator[Haraka]:
    """Run it in `directory` until the end of the block, with as many processes as Paquebot has workers."""
    node, package = find_program("node"), installed_haraka()
    port = free_port()
    _configure(directory, package, port, next_hop)
    argv = [node, str(package / "haraka.js"), "-c", str(directory)]
    environment = {"HARAKA": str(directory)}
    with PeerProcess(argv, directory / "haraka.log", env=environment, cwd=directory) as process:
        process.wait_for_log(f"worker {PROCESSES} listening", 30.0)
        yield Haraka(port, process, directory / "queue")


def _configure(directory: Path, package: Path, port: int, next_hop: int) -> None:
    shutil.copytree(package / "config", directory / "config")
    for name in ("plugins", "queue"):
        (directory / name).mkdir()
    (directory / "plugins" / "to_sink.js").write_text(_PLUGIN % (LOOPBACK, next_hop))
    settings = {
        "me": "haraka.test\n",
        "plugins": "to_sink\n",
        "smtp.ini": f"listen={LOOPBACK}:{port}\nnodes={PROCESSES}\n",
        "outbound.ini": "enable_tls=false\n",
        # One line for each delivery, as the others.
        "log.ini": "[main]\nlevel=notice\n",
    }
    for name, text in settings.items():
        (directory / "config" / name).write_text(text)
