"""Rules of what an outcome means for an envelope."""

import pytest

from paquebot_mta.config.service import Queue
from paquebot_mta.dispatch.judge import REMEMBERED_CHARACTERS, Attempted, Verdict, expiry_reply, judge
from paquebot_mta.mail.envelope import EnvelopeState, Notify
from paquebot_mta.mail.outcome import Deferred, Delivered, Failed, Looped, Outcome
from paquebot_mta.mail.reply import Reply
from tests.mta.dispatch.samples import CREATED, envelope, message

DAY = 86_400
OK, LATER, NEVER = Reply(250, "Ok", "2.0.0"), Reply(451, "later", "4.7.1"), Reply(550, "no", "5.1.1")


def verdict_of(
    outcome: Outcome,
    *,
    age: float = 1.0,
    state: EnvelopeState | None = None,
    notify: Notify = Notify.UNSET,
    local: bool = False,
    kind: str = "mail",
) -> Verdict:
    target = envelope(1, "bob@remote.test", notify=notify)
    attempted = Attempted(target, state or EnvelopeState(), outcome)
    return judge(message(target, kind=kind), attempted, local=local, queue=Queue(), now=CREATED + age)


def test_a_delivered_envelope_leaves_the_queue_and_nobody_is_told() -> None:
    verdict = verdict_of(Delivered(OK))
    assert (verdict.result.final, verdict.notice) == ("delivered", "")


def test_success_is_told_only_if_asked_for_and_not_the_next_hops_duty() -> None:
    assert verdict_of(Delivered(OK), notify=Notify.SUCCESS).notice == "success"
    assert verdict_of(Delivered(OK, dsn_passed=True), notify=Notify.SUCCESS).notice == ""


@pytest.mark.parametrize(("outcome", "final"), [(Failed(NEVER), "bounced"), (Looped(NEVER), "looped")])
def test_a_failure_is_final_and_told(outcome: Outcome, final: str) -> None:
    verdict = verdict_of(outcome)
    assert (verdict.result.final, verdict.notice) == (final, "failure")


def test_a_deferred_envelope_stays_with_its_reply_and_its_next_time() -> None:
    state = verdict_of(Deferred(LATER)).result.state
    assert (state.attempts, state.due_at, state.last_reply) == (1, CREATED + 400, LATER)


@pytest.mark.parametrize(("local", "kind"), [(True, "mail"), (False, "bounce")])
def test_local_mail_and_bounces_are_retried_quickly(local: bool, kind: str) -> None:
    assert verdict_of(Deferred(LATER), local=local, kind=kind).result.state.due_at == CREATED + 10


def test_the_transports_own_wish_beats_the_time_table() -> None:
    assert verdict_of(Deferred(LATER, retry_after_seconds=7), age=3).result.state.due_at == CREATED + 10


def test_mail_that_is_held_back_keeps_its_place_in_the_time_table() -> None:
    state = EnvelopeState()
    for age in range(15, 315, 15):
        state = verdict_of(Deferred(LATER, retry_after_seconds=15), age=age, state=state).result.state
    assert (state.attempts, state.due_at) == (0, CREATED + 315)
    assert verdict_of(Deferred(LATER), age=315, state=state).result.state.due_at == CREATED + 400


def test_a_long_reply_is_remembered_cut() -> None:
    state = verdict_of(Deferred(Reply(451, "x" * 8_192, "4.7.1", remote=True))).result.state
    assert state.last_reply == Reply(451, "x" * REMEMBERED_CHARACTERS, "4.7.1", remote=True)


@pytest.mark.parametrize(("remote", "word"), [(True, "reply"), (False, "error")])
def test_an_expiry_says_whether_the_last_word_was_a_server_s(remote: bool, word: str) -> None:
    told = expiry_reply(Reply(451, "later", "4.7.1", remote=remote))
    assert told == Reply(550, f"Envelope expired; last {word}: 451 4.7.1 later", "5.4.7")


def test_mail_of_a_clock_that_was_wrong_is_retried_by_the_right_one() -> None:
    """It was due in the month that its time of acceptance lay ahead, whatever was asked for in between."""
    state = verdict_of(Deferred(LATER), age=-30 * DAY).result.state
    assert state.due_at == CREATED - 30 * DAY + 400


def test_the_last_attempt_is_at_the_end_of_the_time_to_live() -> None:
    state = EnvelopeState(attempts=28)
    assert verdict_of(Deferred(LATER), age=4 * DAY - 10, state=state).result.state.due_at == CREATED + 4 * DAY


def test_an_envelope_expires_after_four_days_and_fails() -> None:
    verdict = verdict_of(Deferred(LATER), age=4 * DAY)
    assert (verdict.result.final, verdict.notice) == ("expired", "failure")


def test_a_delay_is_told_once() -> None:
    first = verdict_of(Deferred(LATER), age=3.5 * 3600, state=EnvelopeState(attempts=5))
    assert first.notice == "delay"
    assert verdict_of(Deferred(LATER), age=5 * 3600, state=first.result.state).notice == ""


def test_a_delayed_bounce_is_not_told() -> None:
    assert verdict_of(Deferred(LATER), age=3.99 * 3600, state=EnvelopeState(attempts=60), kind="bounce").notice == ""
