"""A server's session between doubles: what it is made of, and what must hold when it is over."""

import random
import re
import ssl
from collections import Counter
from dataclasses import replace as with_fields
from functools import cache
from typing import Any, Final

from aiosmtpd.smtp import AuthResult, LoginPassword

from paquebot_mta.accept.listener import Acceptor
from paquebot_mta.accept.policy import AcceptPolicy, ListenerPolicy, build_policy
from paquebot_mta.accept.session import MtaSession
from paquebot_mta.config.listeners import Listener, ServerAuth
from paquebot_mta.config.service import Limits, MtaConfig, ServiceShard
from paquebot_mta.expand.results import Accepted, Facts, Refused, Target
from paquebot_mta.mail.address import Address
from paquebot_mta.mail.envelope import Message
from paquebot_mta.mail.ids import Msgid, new_msgid
from paquebot_mta.mail.replies import ReplyReader
from paquebot_mta.mail.reply import Reply
from paquebot_mta.spool.store import SpoolError
from paquebot_mta.telemetry.events import Event, LinkDisconnect, Notice, TxBegin, TxCommit, TxRollback
from tests.fuzz.material import cut, has_bare_line_end
from tests.fuzz.transport import FakeTls, FakeTransport

LIMITS: Final = Limits(message_bytes=20_000, header_bytes=8_192, recipients=5, errors=10, junk_commands=12)
LISTENERS: Final = ("mx", "submission", "lmtp")
_REPLIES: Final = re.compile(rb"(?:(?:[2-5][0-9]{2}-[^\r\n\0]*\r\n)*[2-5][0-9]{2} [^\r\n\0]*\r\n)*")
_LINE_BYTES: Final = 4_096


class Rules:
    """Takes ``@example.test``, but for ``nobody``; ``list`` has two targets."""

    async def expand(self, facts: Facts, reverse_path: Address | None, recipient: Address) -> Accepted | Refused:
        if recipient.local_part == "nobody" or (recipient.domain != "example.test" and not facts.user):
            return Refused(Reply(550, f"Invalid recipient: <{recipient}>", "5.1.1"), "unknown_user")
        users = ("alice", "bob") if recipient.local_part == "list" else (recipient.local_part,)
        return Accepted(tuple(Target(f"{user}@example.test", "local", user) for user in users), "rule")


class Passwords:
    """Knows ``secret``; ``down`` is a table that doesn't answer."""

    async def authenticate(self, policy: ListenerPolicy, login: bytes, password: bytes) -> AuthResult:
        if login == b"down":
            return AuthResult(success=False, handled=False, message="454 4.7.0 down")
        if password == b"secret":
            return AuthResult(success=True, auth_data=LoginPassword(login, b""))
        return AuthResult(success=False, handled=False)


def _fault() -> SpoolError:
    return SpoolError(Reply(451, "Temporary failure", "4.3.0"), "scripted")


class MemoryDraft:
    """A message on its way in; every one must be committed or aborted."""

    def __init__(self, spool: "MemorySpool", msgid: Msgid) -> None:
        self.msgid = msgid
        self.content = b""
        self.ended = False
        self._spool = spool

    @property
    def size(self) -> int:
        return len(self.content)

    def write(self, chunk: bytes) -> None:
        assert not self.ended
        self.content += chunk
        assert len(self.content) <= LIMITS.message_bytes + 4_096, "more than the limit reaches the spool"

    async def drain(self) -> None:
        if self._spool.fault == 2:
            raise _fault()

    async def commit(self, message: Message, *, together: bool = False) -> None:
        assert not self.ended
        if self._spool.fault == 3:
            raise _fault()
        assert (message.msgid, message.size) == (self.msgid, self.size)
        assert message.envelopes
        self.ended = True
        self._spool.stored[self.msgid] = self.content

    def abort(self) -> None:
        self.ended = True


class MemorySpool:
    """The accepting half of a spool. ``fault``: 1 fails ``create``, 2 ``drain``, 3 ``commit``."""

    def __init__(self, fault: int) -> None:
        self.fault = fault
        self.stored: dict[Msgid, bytes] = {}
        self.drafts: list[MemoryDraft] = []
        self._random = random.Random(7)

    def create(self, *, size_hint: int = 0) -> MemoryDraft:
        if self.fault == 1:
            raise _fault()
        self.drafts.append(MemoryDraft(self, new_msgid(self._random.getrandbits)))
        return self.drafts[-1]


class FuzzedSession(MtaSession):
    """Its handshakes go well at once."""

    async def _start_tls(self, context: ssl.SSLContext) -> None:
        self.transport.tls = FakeTls()
        self.secured()


class Stage:
    """One session with all that it needs and all that it did."""

    def __init__(self, listener: str, *, fault: int, tls: bool) -> None:
        self.events: list[Event] = []
        self.spool = MemorySpool(fault)
        self.told: list[Message] = []
        seeded = random.Random(1)
        self.acceptor = Acceptor(
            policy=make_policy(),
            spool=self.spool,  # type: ignore[arg-type]  # the accepting half of it
            emit=self.events.append,
            on_accepted=self.told.append,
            clock=lambda: 1_700_000_000.0,
            randbits=seeded.getrandbits,
            authenticator=Passwords(),
            memory=lambda: 0.0,
        )
        policy = self.acceptor.policy_of(listener)
        assert policy is not None
        self.session = FuzzedSession(self.acceptor, policy)
        self.transport = FakeTransport(self.session, tls=tls)
        if tls:
            self.acceptor.admit(self.session, "192.0.2.7")  # whoever shakes hands was let in before

    def check(self) -> None:
        """Make sure of all that holds whatever a client says."""
        faults = [each for each in self.events if isinstance(each, Notice) and each.event == "smtp-in.fault"]
        assert not faults, faults
        assert isinstance(self.events[-1], LinkDisconnect)
        assert sum(isinstance(each, LinkDisconnect) for each in self.events) == 1
        assert self.acceptor.sessions == 0
        assert all(draft.ended for draft in self.spool.drafts)
        self._check_transactions()
        self._check_contents()
        check_replies(bytes(self.transport.written))

    def _check_transactions(self) -> None:
        begun = Counter(each.msgid for each in self.events if isinstance(each, TxBegin))
        ended = Counter(each.msgid for each in self.events if isinstance(each, TxCommit | TxRollback))
        assert begun == ended
        assert set(begun.values()) <= {1}
        committed = {each.msgid for each in self.events if isinstance(each, TxCommit)}
        assert committed == self.spool.stored.keys() == {each.msgid for each in self.told}

    def _check_contents(self) -> None:
        for content in self.spool.stored.values():
            assert content.startswith(b"Received: ")
            assert content.endswith(b"\r\n")
            assert not has_bare_line_end(content)
            assert b"\0" not in content


def check_replies(wire: bytes) -> None:
    """What a server says is made of whole replies, each with a code and nothing that controls a terminal."""
    assert _REPLIES.fullmatch(wire), wire
    assert wire.decode().replace("\r\n", "").isprintable()
    reader = ReplyReader()
    for chunk in cut(wire, bytes((0,))):
        assert len(chunk) <= _LINE_BYTES
        reader.feed(chunk)
        reader.next_reply()
    assert reader.idle


@cache
def make_policy() -> AcceptPolicy:
    """Make the policy of three listeners; TLS is offered without any certificate, because no handshake is made."""
    service = ServiceShard(
        name="test/mail",
        hostname="mx.example.test",
        listeners=(
            Listener(name="mx", address="127.0.0.1"),
            Listener(name="submission", address="127.0.0.1", role="Submission", auth=ServerAuth(mode="Required")),
            Listener(name="lmtp", address="127.0.0.1", role="LMTP", dsn=False),
        ),
        limits=LIMITS,
    )
    config = MtaConfig(digest="0" * 64, generation=1, service=service, domains={}, tables={})
    policy = build_policy(config, {}, Rules())
    return AcceptPolicy(policy.limits, {name: _offer_tls(each) for name, each in policy.listeners.items()})


def _offer_tls(policy: ListenerPolicy) -> ListenerPolicy:
    changes: dict[str, Any] = {"tls": ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)}
    listener = policy.listener
    offered = type(listener.tls)(mode="StartTLS", certificates=("none",))
    fields = {name: getattr(listener, name) for name in listener.__struct_fields__} | {"tls": offered}
    return with_fields(policy, listener=Listener(**fields), **changes)
