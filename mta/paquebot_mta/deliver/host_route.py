"""One route: from one source address to one address of a next hop, for one action. How far it is trusted, and when it
rests.

A route is new until a session was greeted over it, and carries one connection until then. A new route whose connection
fails gets a penalty and rests for base * penalty² seconds; when the rest is over it is new again with one penalty
less. A valid route never rests for a lost connection, only for what the server says: too many recipients refused for
now in a row, or too many messages in a row of which nothing was delivered (greylisting: nobody is hammered with the
rest of a list). Does no I/O and reads no clock: seconds of a monotonic clock come in.
"""

import hashlib
from collections.abc import Callable
from typing import Final, Literal

from msgspec import Struct

from paquebot_mta.config.service import Penalties
from paquebot_mta.mail.reply import Reply

Reason = Literal["net", "smtp"]
Change = Literal["disabled", "penalised", "enabled"]

VALID_SECONDS: Final = 10.0
"""So long after its last connection a valid route stays valid."""
KEPT_SECONDS: Final = 300.0
"""So long a route without connections and penalty is remembered."""
REFUSALS_PENALTY: Final = 2
"""Penalty of a route whose server refuses everything; a failed connection has 1."""
_RESTING: Final[dict[Reason, Reply]] = {
    "net": Reply(451, "Network error on destination MXs", "4.4.1"),
    "smtp": Reply(451, "Host temporarily disabled", "4.7.1"),
}


class RouteKey(Struct, frozen=True):
    """What makes a route: ``relay`` is the action's name, ``source`` empty for the system's choice."""

    relay: str
    source: str
    address: str
    port: int

    @property
    def id(self) -> str:
        """8 hex digits, the same in all processes."""
        text = f"{self.relay}\0{self.source}\0{self.address}\0{self.port}"
        return hashlib.sha256(text.encode()).hexdigest()[:8]


HELD_PER_SECOND: Final = 100
"""Mail held back while a route rests comes back at most that fast: a dead host's backlog must not come all at once."""


class Rest(Struct, frozen=True, eq=False):
    """A route may not be used now: why, and for how many seconds."""

    reply: Reply
    seconds: float
    route: "HostRoute"

    def held(self) -> float:
        """Hold one more task back: after how many seconds it may come again."""
        return self.seconds + self.route.hold()


Tell = Callable[["HostRoute", Change, str], None]
"""Is called with the route, what changed, and why (``net``, ``smtp``, ``expired`` or ``operator``)."""


class HostRoute:
    """The state of one route."""

    def __init__(self, key: RouteKey, name: str, penalties: Penalties, tell: Tell) -> None:
        """Start new; ``name`` is the next hop's, for people."""
        self.key = key
        self.name = name
        self.penalties = penalties
        self._tell = tell
        self._disabled: Reason | None = None
        self._changes_at: float | None = None
        self._emptied_at = 0.0
        self._greeted = False
        self._refused_in_row = 0
        self._fruitless_in_row = 0
        self._held = 0
        self.connections = 0
        """Open ones, those that are being opened included."""
        self.penalty = 0
        self.errors = 0
        """Connections that failed since it was last valid."""
        self.last_error = ""
        self.used_at = 0.0
        """When a connection was last opened or closed."""

    @property
    def id(self) -> str:
        """As operators name it."""
        return self.key.id

    @property
    def disabled(self) -> Reason | None:
        """Why it rests, None if it may be used."""
        return self._disabled

    def is_new(self, now: float) -> bool:
        """Whether no session was greeted lately."""
        if not self.connections and now - self._emptied_at >= VALID_SECONDS:
            self._greeted = False
        return not self._greeted

    def flags(self, now: float) -> str:
        """Four places as in ``smtpctl show routes``: new, disabled, queued for a change of penalty, kept."""
        kept = not self.connections and self._changes_at is None
        shown = (
            ("N", self.is_new(now)),
            ("D", self._disabled is not None),
            ("Q", self._changes_at is not None),
            ("K", kept),
        )
        return "".join(letter if holds else "-" for letter, holds in shown)

    def changes_in(self, now: float) -> float | None:
        """Seconds until its penalty is lowered, None if it has none."""
        return None if self._changes_at is None else max(0.0, self._changes_at - now)

    def rest(self, now: float) -> Rest | None:
        """Why and how long it may not be used; None if it may."""
        self.advance(now)
        if self._disabled is None or self._changes_at is None:
            return None
        return Rest(_RESTING[self._disabled], max(0.0, self._changes_at - now), self)

    def hold(self) -> int:
        """Count a task that is held back while it rests; answers the seconds it has to wait behind others."""
        self._held += 1
        return (self._held - 1) // HELD_PER_SECOND

    def forgotten(self, now: float) -> bool:
        """Whether nothing of it needs to be remembered."""
        self.advance(now)
        return not self.connections and self._changes_at is None and now - self.used_at >= KEPT_SECONDS

    def advance(self, now: float) -> None:
        """Lower the penalty as time goes by, and let it be used again."""
        while self._changes_at is not None and now >= self._changes_at:
            self._lower(self._changes_at, "expired")

    def enable(self, now: float) -> bool:
        """Let it be used at once, as an operator wants; False if it did not rest."""
        self.advance(now)
        if self._disabled is None:
            return False
        self._lower(now, "operator")
        return True

    # What connections tell.

    def opened(self, now: float) -> None:
        """A connection is about to be opened."""
        self.connections += 1
        self.used_at = now

    def greeted(self) -> None:
        """A session was opened: the route is valid."""
        self._greeted = True
        self.errors = 0

    def failed(self, error: str, now: float) -> None:
        """A connection could not be opened."""
        self.errors += 1
        self.last_error = error
        if self.is_new(now):
            self._disable("net", 1, self._rest_seconds(self.penalty + 1), now)

    def closed(self, now: float, *, greeted: bool) -> None:
        """A connection is gone; ``greeted``: it had become a session."""
        self.connections -= 1
        self.used_at = now
        if greeted:
            self._emptied_at = now

    # What the server tells.

    def room(self) -> int | None:
        """How many recipients may be asked for before another look; None for any number."""
        limit = self.penalties.consecutive_reject_limit
        return max(0, limit - self._refused_in_row) if limit else None

    def accepted(self) -> None:
        """A recipient was accepted."""
        self._refused_in_row = 0

    def refused(self, reply: Reply, now: float) -> None:
        """A recipient was refused; for good says nothing of the server."""
        if reply.permanent:
            return
        self._refused_in_row += 1
        self.last_error = str(reply)
        if self.room() == 0:
            self._refuses_all(now)

    def tried(self, *, delivered: bool, now: float) -> None:
        """A message was delivered to someone, or was deferred for all."""
        self._fruitless_in_row = 0 if delivered else self._fruitless_in_row + 1
        if (limit := self.penalties.fruitless_message_limit) and self._fruitless_in_row >= limit:
            self._refuses_all(now)

    def _refuses_all(self, now: float) -> None:
        self._disable("smtp", REFUSALS_PENALTY, self.penalties.defer_seconds, now)

    def _disable(self, reason: Reason, penalty: int, seconds: float, now: float) -> None:
        """Let it rest; it is not punished twice for what many connections saw at once."""
        if self._disabled is not None:
            return
        again = self.penalty > 0
        self.penalty += penalty
        self._disabled = reason
        self._greeted = False
        self._changes_at = now + seconds
        self._tell(self, "disabled", reason)
        if again:
            self._tell(self, "penalised", reason)

    def _lower(self, at: float, reason: str) -> None:
        """Take one penalty away; a route that rested is new again."""
        self.penalty -= 1
        self._changes_at = at + self._rest_seconds(self.penalty) if self.penalty else None
        self._refused_in_row = self._fruitless_in_row = 0
        if self._disabled is not None:
            self._disabled = None
            self._greeted = False
            self._held = 0
            self._tell(self, "enabled", reason)

    def _rest_seconds(self, penalty: int) -> float:
        return float(min(self.penalties.base_seconds * penalty**2, self.penalties.max_seconds))
