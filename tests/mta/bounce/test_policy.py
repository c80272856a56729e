"""Who is told: RFC 3461's rules, and nobody about a notification."""

import pytest

from paquebot_mta.bounce.policy import Kind, RecipientReport, due_warning, judge, select, wants_content
from paquebot_mta.mail.envelope import Envelope, EnvelopeState, Message, Notify
from paquebot_mta.mail.ids import Evpid, Msgid
from paquebot_mta.mail.outcome import Delivered
from paquebot_mta.mail.reply import Reply

KINDS: tuple[Kind, ...] = ("failure", "delay", "success")
OK = Reply(250, "ok")


def envelope(notify: Notify = Notify.UNSET, number: int = 1) -> Envelope:
    return Envelope(Evpid(f"0badcafe{number:08x}"), "b@far.test", "b@far.test", "out", notify=notify)


def message(reverse_path: str = "a@origin.test", *, bounce: bool = False, ret: str = "") -> Message:
    kind = "bounce" if bounce else "mail"
    made = Message(Msgid("0badcafe"), reverse_path, 1000.0, 10, (envelope(),), kind=kind)  # type: ignore[arg-type]
    return Message(**{name: getattr(made, name) for name in made.__struct_fields__} | {"dsn_return": ret})


@pytest.mark.parametrize("kind", KINDS)
def test_null_reverse_path_is_never_bounced(kind: Kind) -> None:
    everything = envelope(Notify.SUCCESS | Notify.FAILURE | Notify.DELAY)
    assert judge(kind, message(""), everything) == "null-reverse-path"
    assert judge(kind, message(bounce=True), everything) == "null-reverse-path"


@pytest.mark.parametrize(
    ("notify", "told"),
    [
        (Notify.UNSET, {"failure", "delay"}),
        (Notify.NEVER, set()),
        (Notify.FAILURE, {"failure"}),
        (Notify.DELAY, {"delay"}),
        (Notify.SUCCESS, {"success"}),
        (Notify.SUCCESS | Notify.FAILURE, {"success", "failure"}),
        (Notify.SUCCESS | Notify.FAILURE | Notify.DELAY, set(KINDS)),
        (Notify.NEVER | Notify.FAILURE, set()),
    ],
)
def test_notify_is_honoured(notify: Notify, told: set[Kind]) -> None:
    assert {kind for kind in KINDS if judge(kind, message(), envelope(notify)) == "send"} == told


def test_a_next_hop_that_knows_dsn_tells_of_success_itself() -> None:
    wanted = envelope(Notify.SUCCESS)
    assert judge("success", message(), wanted, Delivered(OK, dsn_passed=True)) == "next-hop"
    assert judge("success", message(), wanted, Delivered(OK)) == "send"


def test_a_notification_is_for_those_who_want_it() -> None:
    reports = [
        RecipientReport(envelope(notify, number), Reply(550, "no"))
        for number, notify in enumerate((Notify.UNSET, Notify.NEVER, Notify.FAILURE))
    ]
    selection = select("failure", message(), reports)
    assert selection.send == (reports[0], reports[2])
    assert selection.suppressed == (reports[1].envelope.evpid,)


def test_each_age_is_warned_of_once() -> None:
    state, warnings = EnvelopeState(), []
    for next_attempt_at in (1050.0, 1100.0, 1150.0, 1199.0, 1300.0, 1900.0):
        due = due_warning(message(), state, next_attempt_at=next_attempt_at, warn_after_seconds=(100, 200))
        if due is not None:
            warnings.append(next_attempt_at)
            state = EnvelopeState(warned_at=due)
    assert warnings == [1100.0, 1300.0]


@pytest.mark.parametrize(
    ("kind", "ret", "attach", "whole"),
    [
        ("failure", "FULL", "Headers", True),
        ("failure", "HDRS", "Full", False),
        ("failure", "", "Full", True),
        ("failure", "", "Headers", False),
        ("delay", "FULL", "Full", False),
        ("success", "FULL", "Full", False),
    ],
)
def test_only_failures_return_the_message(kind: Kind, ret: str, attach: str, whole: bool) -> None:
    assert wants_content(kind, message(ret=ret), attach) is whole  # type: ignore[arg-type]
