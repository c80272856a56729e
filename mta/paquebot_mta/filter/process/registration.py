"""The begin of a conversation: what we tell of ourselves, and what a filter wants (smtpd-filters(7)).

The order of our lines is fixed. A filter says ``register|...`` lines and nothing else until ``register|ready``.
"""

from dataclasses import dataclass, field
from typing import Final, Literal, get_args

from paquebot_mta import __version__
from paquebot_mta.config.filters import Phase
from paquebot_mta.filter.process.answers import ProtocolFault
from paquebot_mta.filter.process.lines import Version, clean
from paquebot_mta.telemetry.labels import EVENTS

Subsystem = Literal["smtp-in", "smtp-out"]
_PHASES: Final[dict[str, Phase]] = {phase: phase for phase in get_args(Phase)}
_NEVER_ASKED: Final = frozenset({"help", "wiz"})
"""Phases that may be registered, and are never asked, as in OpenSMTPD."""
_MAX_LINES: Final = 200
_ALL: Final = "*"


@dataclass(frozen=True, slots=True)
class Introduction:
    """What a filter is told at first.

    Attributes:
        version: highest protocol that we speak with it.
        session_timeout_seconds: how long a silent session lasts.
        incoming, outgoing: whether it hears of sessions with clients, and with next hops.
        admd: our name in Authentication-Results (RFC 8601, 2.2).
    """

    version: Version = "0.7"
    session_timeout_seconds: int = 300
    incoming: bool = True
    outgoing: bool = False
    admd: str = "localhost"

    def encode(self) -> bytes:
        """Spell it."""
        lines = [
            f"config|smtpd-version|{__version__}-paquebot",
            f"config|protocol|{self.version}",
            f"config|smtp-session-timeout|{self.session_timeout_seconds}",
            *(["config|subsystem|smtp-in"] if self.incoming else []),
            *(["config|subsystem|smtp-out"] if self.outgoing else []),
            f"config|admd|{clean(self.admd)}",
            "config|ready",
        ]
        return "".join([f"{line}\n" for line in lines]).encode()


@dataclass(frozen=True, slots=True)
class Registration:
    """What a filter wants: names of reports in each direction, and phases."""

    incoming: frozenset[str] = frozenset()
    outgoing: frozenset[str] = frozenset()
    phases: frozenset[Phase] = frozenset()

    @property
    def reports(self) -> frozenset[str]:
        """Names of reports in any direction."""
        return self.incoming | self.outgoing


@dataclass(slots=True)
class Registering:
    """Reads a filter's register lines, one by one."""

    _reports: dict[str, set[str]] = field(default_factory=lambda: {"smtp-in": set(), "smtp-out": set()})
    _phases: set[Phase] = field(default_factory=set)
    _lines: int = 0

    def take(self, line: bytes) -> Registration | None:
        """Take a line without its LF; the last one answers all that is wanted.

        Raises:
            ProtocolFault: a filter may not say so here.
        """
        self._lines += 1
        if self._lines > _MAX_LINES:
            raise ProtocolFault("it never gets ready")
        match line.decode("ascii", "replace").split("|"):
            case ["register", "ready"]:
                incoming, outgoing = (frozenset(each) for each in self._reports.values())
                return Registration(incoming, outgoing, frozenset(self._phases))
            case ["register", "report", ("smtp-in" | "smtp-out") as subsystem, event]:
                self._reports[subsystem] |= _events(event)
            case ["register", "filter", "smtp-in", phase]:
                self._add_phase(phase)
            case _:
                raise ProtocolFault(f'it said "{clean(line[:80].decode("ascii", "replace"))}" before it was ready')
        return None

    def _add_phase(self, name: str) -> None:
        if (phase := _PHASES.get(name)) is not None:
            self._phases.add(phase)
        elif name not in _NEVER_ASKED:
            raise ProtocolFault(f'it wants the phase "{clean(name[:40])}", which is none')


def _events(name: str) -> set[str]:
    if name == _ALL:
        return set(EVENTS)
    if name not in EVENTS:
        raise ProtocolFault(f'it wants the report "{clean(name[:40])}", which is none')
    return {name}
