"""Messages and configurations for tests of the dispatcher."""

from paquebot_mta.config.actions import Action, Discard, Lmtp, Maildir, Relay
from paquebot_mta.config.domains import Domain
from paquebot_mta.config.service import MtaConfig, Outbound, OutboundLimits, Queue, ServiceShard
from paquebot_mta.mail.envelope import Envelope, EnvelopeState, Message, Notify, Stored
from paquebot_mta.mail.ids import Evpid, Msgid

CREATED = 1_000_000.0


def evpid(number: int, msgid: str = "0badcafe") -> Evpid:
    return Evpid(f"{msgid}{number:08x}")


def envelope(number: int, destination: str, action: str = "out", notify: Notify = Notify.UNSET) -> Envelope:
    return Envelope(evpid(number), destination, destination, action, user=destination.partition("@")[0], notify=notify)


def message(*envelopes: Envelope, reverse_path: str = "joe@client.test", kind: str = "mail") -> Message:
    return Message(
        Msgid(envelopes[0].evpid[:8]),
        reverse_path,
        CREATED,
        100,
        envelopes,
        kind="bounce" if kind == "bounce" else "mail",
    )


def stored(*envelopes: Envelope, reverse_path: str = "joe@client.test") -> Stored:
    return Stored(message(*envelopes, reverse_path=reverse_path), {each.evpid: EnvelopeState() for each in envelopes})


def config(*, recipients_per_transaction: int = 100, mail_from: str = "") -> MtaConfig:
    actions = {
        "out": Action(relay=Relay(mail_from=mail_from)),
        "smart": Action(relay=Relay(host="smart.test")),
        "lmtp": Action(lmtp=Lmtp(destination="lmtp.test:24")),
        "drop": Action(discard=Discard()),
    }
    limits = OutboundLimits(recipients_per_transaction=recipients_per_transaction)
    service = ServiceShard(
        name="default/test",
        hostname="mx.test",
        listeners=(),
        actions=actions,
        queue=Queue(),
        outbound=Outbound(limits=limits),
    )
    local = Domain(name="local.test", delivery=Action(maildir=Maildir(path="mail/%{user}")), mailboxes=("alice",))
    return MtaConfig(digest="0" * 64, generation=1, service=service, domains={"local.test": local}, tables={})
