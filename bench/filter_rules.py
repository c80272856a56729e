"""The filters whose cost is measured: twenty built-in ones, a program that hears everything, a real rspamd."""

from __future__ import annotations

import sys
from pathlib import Path

from paquebot_mta.config.filters import Builtin, Criterion, Filter, FilterAction, Process, Rspamd

PROGRAM = (sys.executable, str(Path(__file__).with_name("hears_all.py")))
NO = FilterAction(kind="reject")
NETWORKS = tuple(f"198.51.{number}.0/24" for number in range(100))
NAMES = tuple(f"bad-{number}.test" for number in range(100))


def builtins() -> dict[str, Filter]:
    """Make twenty filters as a careful postmaster has them; none of them holds for the load."""
    src = Criterion(kind="src", values=NETWORKS)
    kinds = [
        *(Builtin(phase="connect", when=src, action=NO) for _ in range(4)),
        *(Builtin(phase="ehlo", when=Criterion(kind="helo", values=NAMES), action=NO) for _ in range(2)),
        *(Builtin(phase="ehlo", when=_regex("helo", r"^[0-9.]+$"), action=NO) for _ in range(2)),
        *(Builtin(phase="mail-from", when=_set("mail-from"), action=NO) for _ in range(3)),
        *(Builtin(phase="mail-from", when=_regex("mail-from", r"^spam-"), action=NO) for _ in range(2)),
        *(Builtin(phase="rcpt-to", when=_set("rcpt-to"), action=NO) for _ in range(3)),
        *(Builtin(phase="rcpt-to", when=_both(), action=NO) for _ in range(2)),
        *(Builtin(phase="data", when=src, action=NO) for _ in range(1)),
        *(Builtin(phase="commit", when=_set("mail-from"), action=NO) for _ in range(1)),
    ]
    return {f"bench/builtin-{number:02d}": Filter(kind=kind) for number, kind in enumerate(kinds)}


def _set(kind: str) -> Criterion:
    return Criterion(kind=kind, values=tuple(f"@{name}" for name in NAMES))  # type: ignore[arg-type]


def _regex(kind: str, pattern: str) -> Criterion:
    return Criterion(kind=kind, values=(pattern,), regex=True)  # type: ignore[arg-type]


def _both() -> Criterion:
    return Criterion(kind="all", items=(Criterion(kind="not", items=(_set("rcpt-to"),)), _set("mail-from")))


def program() -> dict[str, Filter]:
    """Give a program that subscribes to every event and is asked in every phase."""
    return {"bench/program": Filter(kind=Process(command=PROGRAM))}


def rspamd(url: str) -> dict[str, Filter]:
    """Ask a running rspamd about each message."""
    return {"bench/rspamd": Filter(kind=Rspamd(url=url))}
