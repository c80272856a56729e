"""Debian's milters, each with a configuration of the test's own, on loopback: opendkim, spamass-milter, clamav-milter.

Nothing asks DNS or loads what others have found out: spamd has one rule, clamd two signatures.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from .processes import LOOPBACK, PeerProcess, find_program, free_port, run_command, wait_until

SIGNED = "example.test"
SELECTOR = "s"
SPAM = b"cheap words of the test"
VIRUS = b"evil words of the test"
EICAR = rb"X5O!P%@AP[4\PZX54(P^)7CC)7}$" + b"EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
"""The harmless file that virus scanners agree to find."""


def _write(path: Path, values: Mapping[str, object]) -> Path:
    path.write_text("".join(f"{name} {value}\n" for name, value in values.items()))
    return path


@contextmanager
def running_opendkim(folder: Path, key: Path, canonicalization: str = "simple/simple") -> Iterator[str]:
    """Sign what comes from `SIGNED` through 192.0.2.0/24 or loopback; the value is the milter's address."""
    port = free_port()
    values = {
        "Mode": "s",
        "Domain": SIGNED,
        "Selector": SELECTOR,
        "KeyFile": key,
        "Socket": f"inet:{port}@{LOOPBACK}",
        "UserID": "root",
        "Background": "no",
        "RequireSafeKeys": "no",
        "InternalHosts": f"192.0.2.0/24,{LOOPBACK}",
        "Canonicalization": canonicalization,
        "Syslog": "no",
    }
    config = _write(folder / "opendkim.conf", values)
    with ExitStack() as stack:
        _start(stack, ["opendkim", "-f", "-x", str(config)], folder).wait_for_port(port, timeout_seconds=60.0)
        yield f"{LOOPBACK}:{port}"


@contextmanager
def running_clamav_milter(folder: Path) -> Iterator[str]:
    """Refuse mail with `VIRUS` or `EICAR` in it; the value is the milter's address."""
    signatures = folder / "signatures"
    signatures.mkdir()
    (signatures / "own.hdb").write_text(f"{hashlib.md5(EICAR).hexdigest()}:{len(EICAR)}:Own-Eicar\n")  # noqa: S324
    (signatures / "own.ndb").write_text(f"Own-Words:0:*:{VIRUS.hex()}\n")
    port, socket = free_port(), folder / "clamd.sock"
    daemon: dict[str, object] = {
        "Foreground": "yes",
        "LocalSocket": socket,
        "DatabaseDirectory": signatures,
        "User": "root",
    }
    milter: dict[str, object] = {
        "Foreground": "yes",
        "MilterSocket": f"inet:{port}@{LOOPBACK}",
        "ClamdSocket": f"unix:{socket}",
        "User": "root",
        "OnInfected": "Reject",
        "RejectMsg": "Virus found: %v",
        "AddHeader": "Replace",
    }
    own: dict[str, object] = {"TemporaryDirectory": folder}
    with ExitStack() as stack:
        _start(stack, ["clamd", "-c", str(_write(folder / "clamd.conf", daemon | own))], folder).wait_for_socket(
            socket, timeout_seconds=60.0
        )
        argv = ["clamav-milter", "-c", str(_write(folder / "clamav.conf", milter | own))]
        _start(stack, argv, folder).wait_for_port(port, timeout_seconds=60.0)
        yield f"{LOOPBACK}:{port}"


@contextmanager
def running_spamass_milter(folder: Path, reject_score: int = 10) -> Iterator[str]:
    """Mark mail with `SPAM` in it (7 points), refuse it from `reject_score` on; the value is the milter's address."""
    rules, port, socket = folder / "rules", free_port(), folder / "spamass.sock"
    rules.mkdir()
    (rules / "own.pre").write_text("loadplugin Mail::SpamAssassin::Plugin::Check\n")
    (rules / "own.cf").write_text(
        "required_score 5\nuse_bayes 0\ndns_available no\nreport_safe 0\nrewrite_header Subject [SPAM]\n"
        'add_header all Status "_YESNO_, score=_SCORE_ required=_REQD_"\nadd_header spam Flag _YESNOCAPS_\n'
        f"body OWN_WORDS /{SPAM.decode()}/\nscore OWN_WORDS 7\n"
        "header OWN_RECEIVED Received =~ /client.else.test/\nscore OWN_RECEIVED 0.1\n"
    )
    daemon = [
        "--local", "--nouser-config", f"--siteconfigpath={rules}", f"--configpath={rules}", "--max-children=1",
        f"--listen={LOOPBACK}:{port}", f"--allowed-ips={LOOPBACK}", "--username=nobody", "--syslog=stderr",
        f"--helper-home-dir={folder}", f"--pidfile={folder}/spamd.pid",
    ]  # fmt: skip
    argv = [
        find_program("spamass-milter"),
        "-p",
        str(socket),
        "-r",
        str(reject_score),
        "--",
        "-d",
        LOOPBACK,
        "-p",
        str(port),
    ]
    with ExitStack() as stack:
        _start(stack, ["spamd", *daemon], folder).wait_for_port(port, timeout_seconds=30.0)
        wait_until(lambda: b"SPAMD" in _ping(port), "spamd's answer", 30.0)
        _start(stack, argv, folder).wait_for_socket(socket, timeout_seconds=60.0)
        yield f"unix:{socket}"


def _start(stack: ExitStack, argv: list[str], folder: Path) -> PeerProcess:
    """Start a program; it is killed at the end, as libmilter takes seconds for an orderly one."""
    process = PeerProcess([find_program(argv[0]), *argv[1:]], folder / f"{argv[0]}.log")
    stack.callback(process.kill)
    return process


def _ping(port: int) -> bytes:
    return run_command([find_program("spamc"), "-K", "-d", LOOPBACK, "-p", str(port)]).stdout
