"""``sendmail`` and the drop box with real processes: any user, no service, two pods, hostile files, ``kill -9``."""

from __future__ import annotations

import os
import re
import shutil
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from msgspec.structs import replace

from tests.faults.local_users import ADA, BEN, BoundPaquebot, sendmail
from tests.faults.pods import running_pool
from tests.faults.tracing import Injection
from tests.support.paquebot_config import ALICE, BOB, LIMITS, PaquebotSettings
from tests.support.requirements import needs_programs

pytestmark = [
    pytest.mark.crash,
    pytest.mark.timeout(180),
    needs_programs("setpriv", "strace", as_root=True),  # root, to be other users
]
MARKER = re.compile(rb"^Subject: (\S+)", re.MULTILINE)


@pytest.fixture
def paquebot(place: Path) -> Iterator[BoundPaquebot]:
    directory = place / "paquebot"
    directory.mkdir()
    running = BoundPaquebot(directory, PaquebotSettings())
    yield running
    running.stop()


def box_of(paquebot: BoundPaquebot, name: str = "offline") -> Path:
    return paquebot.directory / "spool" / "v1" / name


def subjects(contents: list[bytes]) -> Counter[str]:
    return Counter(found[1].decode() for content in contents if (found := MARKER.search(content)))


def mail(subject: str) -> bytes:
    return f"Subject: {subject}\n\nAhoy!\n".encode()


def test_a_running_service_takes_mail_of_any_user_at_once(paquebot: BoundPaquebot) -> None:
    for user in (0, ADA):
        paquebot.submit_as(user, "-F", "A B", ALICE, message=mail(f"of-{user}")).checked()
    first, second = paquebot.wait_for_delivered(ALICE, count=2)
    assert b"(userid 0 [local])" in first
    assert b"(userid 12345 [local])" in second
    assert b"\nReturn-Path: <uid12345@example.test>" in b"\n" + second
    assert b"\nFrom: A B <uid12345@example.test>\n" in second
    assert paquebot.metric("paquebot_queue_offline_messages_total") == 0


def test_the_exit_code_says_what_became_of_it(paquebot: BoundPaquebot) -> None:
    codes = {
        ALICE: 0,
        "nobody@example.test": 67,
        "later@example.test": 75,
        "someone@elsewhere.test": 67,  # what a local user may do is for the rules to say
    }
    assert {to: paquebot.submit_as(ADA, to).returncode for to in codes} == codes
    refused = paquebot.submit_as(ADA, ALICE, "nobody@example.test", message=mail("never"))
    assert refused.returncode == 67
    assert b"nobody@example.test: 550 5.1.1" in refused.stderr
    assert paquebot.submit_as(ADA, "-bs").returncode == 64
    assert paquebot.submit_as(ADA, "-t", message=b"To: <a@b\n\n").returncode == 65
    assert "never" not in subjects(paquebot.wait_for_delivered(ALICE))


def test_mail_of_users_is_left_without_a_service_and_taken_at_its_start(paquebot: BoundPaquebot) -> None:
    """OpenSMTPD once took root's files only: those of all others lay there for ever."""
    paquebot.stop()
    for user in (0, ADA, BEN):
        paquebot.submit_as(user, "-t", message=b"To: %b\n" % ALICE.encode() + mail(f"left-by-{user}")).checked()
    assert sorted(path.stat().st_uid for path in box_of(paquebot).iterdir()) == [0, ADA, BEN]
    paquebot.restart()
    contents = paquebot.wait_for_delivered(ALICE, count=3)
    assert subjects(contents) == {"left-by-0": 1, f"left-by-{ADA}": 1, f"left-by-{BEN}": 1}
    assert {b"(userid %d [local])" % user in b"".join(contents) for user in (0, ADA, BEN)} == {True}
    assert not [*box_of(paquebot).iterdir(), *box_of(paquebot, "taken").iterdir()]
    assert paquebot.metric("paquebot_queue_offline_messages_total", result="taken") == 3


def test_a_user_can_not_see_or_take_what_another_left(paquebot: BoundPaquebot) -> None:
    paquebot.stop()
    paquebot.submit_as(ADA, ALICE).checked()
    (left,) = box_of(paquebot).iterdir()
    for attempt in (lambda: os.listdir(left.parent), left.read_bytes, left.unlink, lambda: left.rename(f"{left}x")):
        assert refused_to(BEN, attempt)
    for private in ("taken", "pods", "corrupt"):
        assert refused_to(ADA, partial(os.listdir, box_of(paquebot, private)))


def refused_to(user: int, attempt: Callable[[], object]) -> bool:
    """Try something as another user, in a process that ends with it."""
    child = os.fork()
    if not child:
        try:
            os.setgroups([])
            os.setgid(user)
            os.setuid(user)
            attempt()
        except PermissionError:
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_who_left_mail_that_is_refused_is_told(paquebot: BoundPaquebot) -> None:
    paquebot.stop()
    paquebot.submit_as(ADA, "-f", BOB, "nobody@example.test", ALICE, message=mail("partly")).checked()
    paquebot.submit_as(ADA, "-f", BOB, "-N", "never", "nobody@example.test", message=mail("quietly")).checked()
    paquebot.submit_as(ADA, "-f", "<>", "nobody@example.test", message=mail("nowhere")).checked()
    paquebot.restart()
    assert subjects(paquebot.wait_for_delivered(ALICE)) == {"partly": 1}
    (report,) = paquebot.wait_for_delivered(BOB)
    assert b"Status: 5.1.1" in report
    assert b"Final-Recipient: rfc822; nobody@example.test" in report
    told = paquebot.wait_for_log("offline.returned", count=3)
    assert sorted(line["result"] for line in told) == ["nobody", "nobody", "told"]
    assert not list(box_of(paquebot, "taken").iterdir())


def test_a_recipient_who_can_not_be_looked_up_now_waits_with_all_of_it(paquebot: BoundPaquebot) -> None:
    paquebot.stop()
    paquebot.submit_as(ADA, ALICE, "later@example.test", message=mail("later")).checked()
    paquebot.restart()
    (line,) = paquebot.wait_for_log("offline.deferred")
    assert line["reason"] == "451 4.3.0"
    assert not paquebot.delivered(ALICE)
    assert len(list(box_of(paquebot, "taken").iterdir())) == 1


def test_hostile_files_are_put_aside_and_the_others_go_on(paquebot: BoundPaquebot, place: Path) -> None:
    secret = place / "secret"
    secret.write_text("paquebot-offline-1 {}\nroot:x")
    paquebot.stop()
    paquebot.submit_as(ADA, ALICE, message=mail("good")).checked()
    hostile(box_of(paquebot), secret)
    paquebot.restart()
    assert subjects(paquebot.wait_for_delivered(ALICE)) == {"good": 1}
    refused = paquebot.wait_for_log("offline.refused", count=9)
    assert Counter(str(line["reason"]) for line in refused) == {"kind": 5, "garbage": 3, "links": 1}
    assert paquebot.metric("paquebot_queue_offline_messages_total", result="refused") == 9
    assert secret.read_text().endswith("root:x")
    # While it runs, too; and a directory that can't be removed is told once, not at each look.
    hostile(box_of(paquebot), secret)
    (box_of(paquebot) / "full").mkdir()
    (box_of(paquebot) / "full" / "file").write_text("x")
    assert len(paquebot.wait_for_log("offline.refused", count=19)) == 19
    assert [path.name for path in box_of(paquebot).iterdir()] == ["full"]
    assert not paquebot.faults()


def hostile(box: Path, secret: Path) -> None:
    """Leave what no client leaves."""
    (box / ("a" * 32)).symlink_to(secret)
    os.link(secret, box / ("b" * 32))
    os.mkfifo(box / ("c" * 32))
    os.mknod(box / ("d" * 32), 0o020666, os.makedev(1, 9))
    (box / ("e" * 32)).mkdir()
    (box / ("f" * 32)).write_text("From: x\n\nno ticket\n")
    (box / "name\x1b[2J").write_text("x")
    with (box / ("1" * 32)).open("wb") as huge:
        huge.truncate(1 << 40)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(box / "socket"))
    (box / f".new-{'2' * 32}").write_text("half")
    os.unlink(box / f".new-{'2' * 32}")


def test_a_message_too_big_for_the_service_comes_back(paquebot: BoundPaquebot) -> None:
    paquebot.change(limits=replace(LIMITS, message_bytes=50_000))
    paquebot.stop()
    paquebot.submit_as(ADA, "-f", BOB, ALICE, message=mail("big") + b"x" * 70_000).checked()
    paquebot.restart()
    (report,) = paquebot.wait_for_delivered(BOB)
    assert b"Status: 5.3.4" in report
    assert not paquebot.delivered(ALICE)


def test_more_recipients_than_a_transaction_may_have_are_served_in_portions(paquebot: BoundPaquebot) -> None:
    """All were given back as failed when the time to live was over, though each of them was right."""
    paquebot.change(limits=replace(LIMITS, recipients=5))
    paquebot.stop()
    names = [f"alice+{number}@example.test" for number in range(12)]
    unknown = [f"nobody{number}@example.test" for number in range(12)]
    paquebot.submit_as(ADA, "-f", BOB, *names, *unknown, message=mail("many")).checked()
    paquebot.restart()
    assert subjects(paquebot.wait_for_delivered(ALICE, count=len(names))) == {"many": len(names)}
    (report,) = paquebot.wait_for_delivered(BOB)
    assert report.count(b"Final-Recipient: ") == len(unknown)
    assert not list(box_of(paquebot, "taken").iterdir())


def test_without_a_service_and_a_volume_the_caller_keeps_it(paquebot: BoundPaquebot, place: Path) -> None:
    paquebot.stop()
    shutil.rmtree(box_of(paquebot))
    assert paquebot.submit_as(ADA, ALICE).returncode == 75
    assert sendmail(place / "none", place / "none", ADA, ALICE).returncode == 75


@pytest.mark.parametrize(("kind", "when"), [("rename", 2), ("unlink", 2), ("fdatasync", 3)])
def test_a_service_killed_while_it_takes_loses_nothing(paquebot: BoundPaquebot, kind: str, when: int) -> None:
    """The next start finds the claims of the dead. Twice is possible, never is not."""
    wanted: list[str] = []
    tracer = paquebot.attach(Injection(kind, f"{when}+"))
    deadline = time.monotonic() + 60.0
    while not paquebot.is_dead:  # strace counts for each thread, and how the work falls on threads is chance
        assert time.monotonic() < deadline, tracer.log()
        wanted.append(f"mail-{len(wanted)}")
        leave(paquebot, wanted[-1])
    tracer.terminate()
    paquebot.restart()
    paquebot.wait_for(lambda: set(subjects(paquebot.delivered(ALICE))) == set(wanted), "all messages", 30.0)
    paquebot.wait_for(lambda: not list(box_of(paquebot, "taken").iterdir()), "no claim", 10.0)
    assert not list(box_of(paquebot).iterdir())


def leave(paquebot: BoundPaquebot, subject: str) -> None:
    """Leave a message although the service runs."""
    sendmail(paquebot.directory / "spool", paquebot.directory / "none", ADA, ALICE, message=mail(subject)).checked()


def test_of_two_pods_each_message_is_taken_by_one(place: Path) -> None:
    with running_pool(place, PaquebotSettings(), 2) as pool:
        wanted = [f"shared-{number}" for number in range(12)]
        for subject in wanted:
            sendmail(pool.spool, place / "nowhere", ADA, ALICE, message=mail(subject)).checked()
        pool.pods[0].wait_for(lambda: len(pool.log_lines("offline.taken")) >= len(wanted), "all taken", 30.0)
        pool.wait_until_empty()
        assert subjects([content for pod in pool.pods for content in pod.delivered(ALICE)]) == Counter(wanted)
