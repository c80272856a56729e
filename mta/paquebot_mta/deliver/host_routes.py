"""All routes of a process: shared by all configurations, so that a reload forgets no penalty."""

from collections.abc import Callable, Iterator

from paquebot_mta.config.service import Penalties
from paquebot_mta.deliver.host_route import Change, HostRoute, RouteKey
from paquebot_mta.telemetry.bus import Emit
from paquebot_mta.telemetry.events import Notice

_SWEEP_SECONDS = 5.0
Later = Callable[[float, Callable[[], None]], object]


class HostRoutes:
    """Makes routes when they are first needed and forgets them when they have nothing to tell.

    Args:
        emit: is told when a route is disabled, penalised and enabled.
        monotonic: seconds.
        later: calls something after so many seconds, that a rest is known to be over when it is.
    """

    def __init__(self, emit: Emit, monotonic: Callable[[], float], later: Later) -> None:
        self._emit = emit
        self._later = later
        self._monotonic = monotonic
        self._routes: dict[RouteKey, HostRoute] = {}
        self._swept_at = monotonic()

    def at(self, key: RouteKey, name: str, penalties: Penalties) -> HostRoute:
        """Give the route of a key; the newest name and penalties count."""
        now = self._monotonic()
        if now - self._swept_at >= _SWEEP_SECONDS:
            self.sweep()
        if (route := self._routes.get(key)) is None:
            route = self._routes[key] = HostRoute(key, name, penalties, self._tell)
            route.used_at = now
        route.name, route.penalties = name, penalties
        return route

    def sweep(self) -> None:
        """Bring all routes up to now, and forget those that are due."""
        now = self._swept_at = self._monotonic()
        for key in [key for key, route in self._routes.items() if route.forgotten(now)]:
            del self._routes[key]

    def enable(self, target: str) -> int:
        """Let routes be used at once: ``all``, or those with that id or address; says how many rested."""
        now = self._monotonic()
        chosen = [each for each in self._routes.values() if target in ("all", each.id, each.key.address)]
        return sum(route.enable(now) for route in chosen)

    def __iter__(self) -> Iterator[HostRoute]:
        """Routes as they are: may be read from any thread."""
        return iter(list(self._routes.values()))

    def _tell(self, route: HostRoute, change: Change, reason: str) -> None:
        details: dict[str, str | int | float | bool] = {
            "route": route.id,
            "relay": route.key.relay,
            "source": route.key.source,
            "destination": f"{route.key.address} ({route.name})",
            "reason": reason,
            "penalty": route.penalty,
        }
        if change == "disabled":
            seconds = route.changes_in(self._monotonic()) or 0.0
            self._later(seconds, self.sweep)
            details["seconds"] = round(seconds, 3)
            details["error"] = route.last_error
            self._emit(Notice(level="warning", event="route.disabled", details=details))
        else:
            event = "route.penalised" if change == "penalised" else "route.enabled"
            self._emit(Notice(level="info", event=event, details=details))
