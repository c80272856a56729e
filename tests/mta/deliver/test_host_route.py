"""When a route is new, valid, disabled and trusted again: rules over a clock that is only a number."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paquebot_mta.config.service import Penalties
from paquebot_mta.deliver.host_route import HostRoute, RouteKey
from paquebot_mta.deliver.host_routes import HostRoutes
from paquebot_mta.mail.reply import Reply
from paquebot_mta.telemetry.events import Event, Notice

KEY = RouteKey("out", "", "192.0.2.1", 25)
LATER = Reply(451, "greylisted", "4.7.1")
NEVER = Reply(550, "unknown", "5.1.1")


def make_route(**penalties: int) -> tuple[HostRoute, list[str]]:
    told: list[str] = []
    route = HostRoute(KEY, "mx.test", Penalties(**penalties), lambda _, change, why: told.append(f"{change} {why}"))
    return route, told


def connect(route: HostRoute, now: float, *, works: bool) -> None:
    """Open a connection that is greeted, or fails at once."""
    route.opened(now)
    if works:
        route.greeted()
    else:
        route.closed(now, greeted=False)
        route.failed("refused", now)


def rest_seconds(route: HostRoute, now: float) -> float:
    rest = route.rest(now)
    return rest.seconds if rest is not None else 0.0


def test_a_new_route_whose_connection_fails_rests_fifteen_seconds_and_is_new_again() -> None:
    route, told = make_route()
    assert route.flags(100.0) == "N--K"
    connect(route, 100.0, works=False)
    assert (route.flags(100.0), route.penalty, rest_seconds(route, 104.0)) == ("NDQ-", 1, 11.0)
    assert str(route.rest(104.0).reply) == "451 4.4.1 Network error on destination MXs"  # type: ignore[union-attr]
    assert route.rest(115.0) is None
    assert (route.flags(115.0), route.penalty) == ("N--K", 0)
    assert told == ["disabled net", "enabled expired"]


@pytest.mark.parametrize(("earlier", "seconds"), [(0, 15), (1, 60), (2, 135), (10, 1_815), (15, 3_600), (40, 3_600)])
def test_a_rest_grows_with_the_square_of_the_penalty(earlier: int, seconds: int) -> None:
    route, told = make_route()
    route.penalty = earlier
    connect(route, 0.0, works=False)
    assert rest_seconds(route, 0.0) == seconds
    assert told[:1] == ["disabled net"]
    assert ("penalised net" in told) == (earlier > 0)


def test_a_valid_route_is_not_disabled_by_a_lost_connection() -> None:
    route, told = make_route()
    connect(route, 0.0, works=True)
    assert route.flags(0.0) == "----"
    connect(route, 1.0, works=False)
    assert (route.errors, route.rest(1.0), told) == (1, None, [])


def test_a_valid_route_is_new_again_some_time_after_its_last_connection() -> None:
    route, _ = make_route()
    connect(route, 0.0, works=True)
    route.closed(50.0, greeted=True)
    assert route.flags(59.0) == "---K"
    assert route.flags(60.0) == "N--K"
    connect(route, 61.0, works=False)
    assert route.disabled == "net"


def test_ten_recipients_refused_in_a_row_let_a_valid_route_rest() -> None:
    route, told = make_route()
    connect(route, 0.0, works=True)
    for left in range(10, 0, -1):
        assert route.room() == left
        route.refused(LATER, 5.0)
    assert (route.disabled, route.penalty, rest_seconds(route, 5.0)) == ("smtp", 2, 400.0)
    assert route.rest(5.0).reply.text == "Host temporarily disabled"  # type: ignore[union-attr]
    assert told == ["disabled smtp"]


def test_a_rest_for_refusals_leaves_a_penalty_that_fades() -> None:
    route, told = make_route()
    for _ in range(10):
        route.refused(LATER, 0.0)
    assert route.rest(400.0) is None
    assert (route.penalty, route.flags(400.0), route.room()) == (1, "N-Q-", 10)
    assert route.changes_in(400.0) == 15.0
    connect(route, 401.0, works=False)
    assert (route.penalty, rest_seconds(route, 401.0)) == (2, 60.0)
    assert told[-2:] == ["disabled net", "penalised net"]
    route.advance(10_000.0)
    assert (route.penalty, route.flags(10_000.0)) == (0, "N--K")


def test_one_accepted_recipient_ends_the_row() -> None:
    route, _ = make_route()
    for _ in range(5):
        for _ in range(9):
            route.refused(LATER, 0.0)
        route.accepted()
    assert route.disabled is None


def test_refusals_for_good_say_nothing_of_the_route() -> None:
    route, _ = make_route()
    for _ in range(100):
        route.refused(NEVER, 0.0)
    assert route.disabled is None


def test_ten_messages_without_a_delivery_let_a_route_rest() -> None:
    route, _ = make_route()
    for delivered in (*[False] * 9, True, *[False] * 9):
        route.tried(delivered=delivered, now=0.0)
    assert route.disabled is None
    route.tried(delivered=False, now=0.0)
    assert route.disabled == "smtp"


def test_what_many_connections_see_at_once_is_punished_once() -> None:
    route, told = make_route()
    for _ in range(30):
        route.refused(LATER, 0.0)
        route.tried(delivered=False, now=0.0)
    assert (route.penalty, told) == (2, ["disabled smtp"])


def test_limits_can_be_turned_off() -> None:
    route, _ = make_route(consecutive_reject_limit=0, fruitless_message_limit=0)
    for _ in range(1_000):
        route.refused(LATER, 0.0)
        route.tried(delivered=False, now=0.0)
    assert (route.disabled, route.room()) == (None, None)


def test_a_backlog_that_was_held_back_does_not_come_all_at_once() -> None:
    route, _ = make_route()
    connect(route, 0.0, works=False)
    rest = route.rest(5.0)
    assert rest is not None
    assert [rest.held() for _ in range(250)] == [10.0] * 100 + [11.0] * 100 + [12.0] * 50


class Book:
    """Routes over a clock that is only a number."""

    def __init__(self) -> None:
        self.now = 0.0
        self.events: list[Event] = []
        self.timers: list[float] = []
        self.routes = HostRoutes(self.events.append, lambda: self.now, lambda seconds, _: self.timers.append(seconds))

    def at(self, address: str = "192.0.2.1", source: str = "") -> HostRoute:
        return self.routes.at(RouteKey("out", source, address, 25), "mx.test", Penalties())

    def told(self) -> list[tuple[str, object, object]]:
        notices = (each for each in self.events if isinstance(each, Notice))
        return [(each.event, each.details["destination"], each.details["reason"]) for each in notices]


def test_changes_of_a_route_are_told_when_they_happen() -> None:
    book = Book()
    connect(book.at(), book.now, works=False)
    assert book.timers == [15.0]
    book.now = 15.0
    book.routes.sweep()
    assert book.told() == [
        ("route.disabled", "192.0.2.1 (mx.test)", "net"),
        ("route.enabled", "192.0.2.1 (mx.test)", "expired"),
    ]


@pytest.mark.parametrize("by", ["all", "id", "address"])
def test_an_operator_may_end_a_rest(by: str) -> None:
    book = Book()
    route = book.at()
    connect(route, 0.0, works=False)
    target = {"id": route.id, "address": "192.0.2.1"}.get(by, by)
    assert book.routes.enable("192.0.2.99") == 0
    assert (book.routes.enable(target), book.routes.enable(target)) == (1, 0)
    assert route.rest(0.0) is None
    assert book.told()[-1] == ("route.enabled", "192.0.2.1 (mx.test)", "operator")


def test_routes_without_anything_to_tell_are_forgotten() -> None:
    book = Book()
    busy, idle = book.at("192.0.2.1"), book.at("192.0.2.2")
    connect(busy, 0.0, works=True)
    book.now = 300.0
    book.routes.sweep()
    assert list(book.routes) == [busy]
    assert book.at("192.0.2.2") is not idle


def test_a_route_has_the_same_id_in_all_processes() -> None:
    assert KEY.id == RouteKey("out", "", "192.0.2.1", 25).id == "e87c5842"
    assert len({KEY.id, RouteKey("out", "192.0.2.9", "192.0.2.1", 25).id, RouteKey("b", "", "192.0.2.1", 25).id}) == 3


@given(st.lists(st.tuples(st.sampled_from(["open", "fail", "refuse", "fruitless", "enable"]), st.floats(0, 500))))
def test_a_route_is_never_disabled_for_ever_and_its_penalty_always_fades(steps: list[tuple[str, float]]) -> None:
    route, _ = make_route()
    now = 0.0
    for step, seconds in steps:
        now += seconds
        if step in ("open", "fail"):
            connect(route, now, works=step == "open")
        elif step == "enable":
            route.enable(now)
        for _ in range(4):
            if step == "refuse":
                route.refused(LATER, now)
            elif step == "fruitless":
                route.tried(delivered=False, now=now)
        assert route.penalty >= 0
        assert (route.changes_in(now) is not None) >= (route.disabled is not None)
        assert (route.penalty > 0) == (route.changes_in(now) is not None)
    route.advance(now + 3_600.0 * (route.penalty + 1))
    assert (route.penalty, route.disabled, route.changes_in(now)) == (0, None, None)
