"""LMTP (RFC 2033): LHLO, and one reply after the dot for each accepted recipient."""

from pathlib import Path

from paquebot_mta.deliver.settings import Endpoint
from paquebot_mta.mail.envelope import Envelope
from paquebot_mta.mail.ids import Evpid
from paquebot_mta.mail.outcome import Deferred, Delivered, Failed
from paquebot_mta.route.hops import NextHop
from tests.mta.deliver.relay_rig import make_task, relay_rig, route_to
from tests.support.fake_mx import FakeMx
from tests.support.fake_mx_script import DROP, Script

NAMES = ("a@mx.test", "b@mx.test", "c@mx.test", "d@mx.test")


async def test_each_recipient_has_a_reply_of_its_own() -> None:
    replies = {
        "RCPT b@mx.test": "550 5.1.1 unknown",
        "DOT c@mx.test": "452 4.2.2 over quota",
        "DOT d@mx.test": "554 5.7.1 refused",
    }
    async with FakeMx(Script(replies, is_lmtp=True)) as mx, relay_rig() as rig:
        receipt = await rig.deliver(route_to(mx, protocol="lmtp"), make_task(*NAMES))
        assert mx.sessions[0].violations == []
    outcomes = [receipt.outcomes[Evpid(f"0badcafe{number:08x}")] for number in range(1, 5)]
    assert [type(outcome) for outcome in outcomes] == [Delivered, Failed, Deferred, Failed]
    assert len(rig.reports("tx-commit")) == 1
    assert rig.reports("tx-rollback") == []


async def test_a_drop_between_replies_keeps_those_that_came() -> None:
    async with FakeMx(Script({"DOT b@mx.test": DROP}, is_lmtp=True)) as mx, relay_rig() as rig:
        receipt = await rig.deliver(route_to(mx, protocol="lmtp"), make_task(*NAMES[:3]))
    outcomes = [receipt.outcomes[Evpid(f"0badcafe{number:08x}")] for number in range(1, 4)]
    assert [type(outcome) for outcome in outcomes] == [Delivered, Deferred, Deferred]
    assert len(rig.reports("tx-commit")) == 1
    assert rig.reports("tx-rollback") == []


async def test_a_unix_socket_is_a_next_hop(tmp_path: Path) -> None:
    path = tmp_path / "lmtp"
    hop = NextHop("", str(path), 0)
    async with FakeMx(Script(is_lmtp=True), socket_path=path) as mx, relay_rig() as rig:
        receipt = await rig.deliver(route_to(hop, policy="None", protocol="lmtp"), make_task())
        assert len(mx.contents) == 1
    assert receipt.relay == str(path)
    assert rig.reports("link-connect")[0].endswith(f"|unix:{path}")


async def test_rcpt_may_name_the_mailbox_user() -> None:
    envelope = Envelope(Evpid("0badcafe00000001"), "a@mx.test", "a@mx.test", "in", user="alice")
    async with FakeMx(Script(is_lmtp=True)) as mx, relay_rig(endpoint=Endpoint("in", recipient="User")) as rig:
        await rig.deliver(route_to(mx, protocol="lmtp"), make_task(envelopes=(envelope,)))
        assert mx.transactions[0].addresses == ("alice",)
