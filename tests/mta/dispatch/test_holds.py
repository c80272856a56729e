"""Rules of waiting: a busy destination never takes the places of others."""

from paquebot_mta.dispatch.groups import Destination
from paquebot_mta.dispatch.holds import Holds
from tests.mta.dispatch.samples import evpid

DEAD, ALIVE = Destination("out", "dead.test"), Destination("out", "alive.test")


def test_what_is_too_much_for_a_destination_waits_and_others_go_on() -> None:
    holds = Holds(limit=1)
    assert holds.enter(DEAD, "mta", [evpid(1)])
    assert not holds.enter(DEAD, "mta", [evpid(2)])
    assert holds.enter(ALIVE, "mta", [evpid(3)])
    assert holds.waiting() == 1


def test_a_place_given_back_releases_the_first_that_waits() -> None:
    holds = Holds(limit=1)
    holds.enter(DEAD, "mta", [evpid(1)])
    for number in (2, 3):
        holds.enter(DEAD, "mta", [evpid(number)])
    assert holds.leave(DEAD, 1) == [evpid(2)]


def test_paused_mail_waits_until_it_is_resumed() -> None:
    holds = Holds(limit=5)
    holds.pause("mta")
    assert not holds.enter(DEAD, "mta", [evpid(1)])
    assert holds.enter(ALIVE, "mda", [evpid(2)])
    assert holds.resume("mta") == [evpid(1)]
    assert holds.waiting() == 0


def test_a_removed_envelope_waits_no_more() -> None:
    holds = Holds(limit=1)
    holds.pause("mta")
    holds.enter(DEAD, "mta", [evpid(1)])
    assert holds.forget(evpid(1))
    assert holds.resume("mta") == []
