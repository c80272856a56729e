"""The next hop of a ledger: takes all mail, by order slowly, and notes of each copy what the books need."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass

from tests.faults.books import body_digest, token_of
from tests.support.fake_mx import FakeMx
from tests.support.fake_mx_script import Answer, Script, Transaction
from tests.support.paquebot_config import FAR

TAKEN = f"x@{FAR}"
UNKNOWN = f"gone@{FAR}"
"""An address that is refused for good: its mail ends in a notification."""
SLOW_SECONDS = 0.3


@dataclass(frozen=True)
class Arrival:
    """A copy: whose, its body's sha256, who brought it (by the name in EHLO), when (monotonic seconds)."""

    token: str
    digest: str
    by: str
    at: float
    is_notification: bool


class Sink(FakeMx):
    """The server. Contents are not kept."""

    def __init__(self) -> None:
        super().__init__(_script(0.0))
        self.arrivals: list[Arrival] = []
        self._tokens: set[str] = set()

    @property
    def open_sessions(self) -> int:
        """Not counted: there are too many sessions in a long run."""
        return 0

    def record(self, transaction: Transaction) -> None:
        """Note an arrival instead of the content."""
        content, is_notification = transaction.content, not transaction.sender.address
        token = token_of(content)
        digest = "" if is_notification else body_digest(content)
        self.arrivals.append(Arrival(token, digest, transaction.helo, time.monotonic(), is_notification))
        self._tokens.add(token)

    def slow(self) -> None:
        """Answer to contents late from now on: deliveries are under way for a while, and mail waits."""
        self.script = _script(SLOW_SECONDS)

    def fast(self) -> None:
        """Answer at once from now on."""
        self.script = _script(0.0)

    def missing(self, tokens: Collection[str]) -> set[str]:
        """Tell which of these have not arrived, nor a notification about them."""
        return set(tokens) - self._tokens.copy()


def _script(delay_seconds: float) -> Script:
    taken = Answer("250 2.0.0 taken", delay_seconds=delay_seconds)
    return Script(replies={"DOT": taken, f"RCPT {UNKNOWN}": "550 5.1.1 no such user"})
