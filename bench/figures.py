"""The arithmetic of the results: medians, spreads and ratios. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from statistics import median

from msgspec import Struct

from bench.plan import Run


class Figure(Struct, frozen=True, kw_only=True):
    """A measured number: the median of some runs, and the lowest and highest of them."""

    median: float
    lowest: float
    highest: float

    @property
    def spread_percent(self) -> float:
        """How far the runs lie apart, in per cent of the median."""
        return (self.highest - self.lowest) / self.median * 100 if self.median else 0.0


class Summary(Struct, frozen=True, kw_only=True):
    """All runs of one scenario and server."""

    scenario: str
    server: str
    runs: int
    messages_per_second: Figure
    cpu_microseconds_per_message: Figure
    system_share: float
    pss_mebibytes: Figure
    foreign_share: float


def figure(values: Sequence[float]) -> Figure:
    """Sum up some values. Raises ValueError if there is none."""
    if not values:
        raise ValueError("no runs, no figure")
    return Figure(median=median(values), lowest=min(values), highest=max(values))


def summarise(runs: Iterable[Run]) -> list[Summary]:
    """Sum up runs by scenario and server, in the order in which these first appear."""
    grouped: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        grouped.setdefault((run.scenario, run.server), []).append(run)
    return [_summary(*key, some) for key, some in grouped.items()]


def ratio(summaries: Iterable[Summary], scenario: str, server: str, reference: str) -> float | None:
    """Divide the median rates of two servers in a scenario; None if one of them wasn't measured."""
    rates = {found.server: found.messages_per_second.median for found in summaries if found.scenario == scenario}
    if server not in rates or not rates.get(reference):
        return None
    return rates[server] / rates[reference]


def _summary(scenario: str, server: str, runs: Sequence[Run]) -> Summary:
    def of(value: Callable[[Run], float]) -> Figure:
        return figure([value(run) for run in runs])

    user, system = sum(run.user_seconds for run in runs), sum(run.system_seconds for run in runs)
    return Summary(
        scenario=scenario,
        server=server,
        runs=len(runs),
        messages_per_second=of(lambda run: run.messages_per_second),
        cpu_microseconds_per_message=of(lambda run: run.cpu_microseconds_per_message),
        system_share=system / (user + system) if user + system else 0.0,
        pss_mebibytes=of(lambda run: run.pss_bytes / 2**20),
        foreign_share=of(lambda run: run.foreign_share).median,
    )
