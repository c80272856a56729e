"""No mailbox lies in the queue, whatever a configuration says: mail waits until that is mended."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from paquebot_mta.deliver.local import LocalSurroundings, LocalTransport
from paquebot_mta.mail.outcome import Deferred, Delivered, Outcome
from tests.mta.deliver.local_rig import anything_under, mailbox, maildir_transport, mbox_transport, surroundings
from tests.mta.deliver.relay_rig import make_task

MAKERS = (maildir_transport, mbox_transport)


async def outcome_of(transport: LocalTransport, user: str) -> Outcome:
    (outcome,) = (await transport.deliver(make_task(envelopes=(mailbox(user),)))).outcomes.values()
    return outcome


def guarded(around: LocalSurroundings, own: Path) -> LocalSurroundings:
    return msgspec.structs.replace(around, own=(str(own),))


@pytest.mark.parametrize("maker", MAKERS)
@pytest.mark.parametrize("path", ["v1/%{user}", "%{user}/format", "%{user}"])
async def test_mail_for_a_mailbox_in_the_queue_waits_and_nothing_is_touched(
    tmp_path: Path, maker: Callable[[LocalSurroundings, str], LocalTransport], path: str
) -> None:
    with surroundings() as around:
        transport = maker(guarded(around, tmp_path / "v1"), f"{tmp_path}/{path}")
        outcome = await outcome_of(transport, "v1")
    assert isinstance(outcome, Deferred)
    assert anything_under(tmp_path) == []


async def test_a_relative_path_into_the_queue_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with surroundings() as around:
        outcome = await outcome_of(mbox_transport(guarded(around, tmp_path / "v1"), "v1/%{user}"), "alice")
    assert isinstance(outcome, Deferred)


async def test_mailboxes_beside_the_queue_are_as_they_were(tmp_path: Path) -> None:
    with surroundings() as around:
        outcome = await outcome_of(mbox_transport(guarded(around, tmp_path / "v1"), f"{tmp_path}/v10/%{{user}}"), "a")
    assert isinstance(outcome, Delivered)
