"""What filters are asked about one session, and what of it lasts: junk of the session, junk of the transaction.

Keeps the facts true that filters are given. Answers nobody: the session does.
"""

from collections.abc import Awaitable
from typing import Any

from paquebot_mta.accept.state import SessionState
from paquebot_mta.config.filters import Phase
from paquebot_mta.filter.chain import GO_ON, Chain, Verdict
from paquebot_mta.filter.contract import Facts
from paquebot_mta.filter.decisions import Junk
from paquebot_mta.filter.running import Screen
from paquebot_mta.mail.ids import Msgid

_OF_TRANSACTIONS: frozenset[Phase] = frozenset({"rcpt-to", "data", "commit"})


class Screening:
    """One session before its filters; it is asked through the same ones to its end.

    Attributes:
        facts: what filters may know.
        junk_session: all messages of the session are junk; junk: the open transaction's is; spoiled: the copy of the
            recipient that is being answered is, say the filters of its domain.
    """

    __slots__ = ("facts", "junk", "junk_session", "screen", "spoiled")

    def __init__(self, screen: Screen, session: SessionState, endpoint: str, hostname: str) -> None:
        """Begin with what is known of a connection."""
        self.screen = screen
        peer: Any = session.peer
        self.junk_session = self.junk = self.spoiled = False
        self.facts = Facts(
            session=session.id,
            endpoint=endpoint,
            client_address=session.client_address,
            client_port=peer[1] if isinstance(peer, tuple) else 0,
            client_name=session.client_name,
            fcrdns=session.fcrdns,
            hostname=hostname,
            local_address=session.local_address,
        )
        screen.enter()
        self.know(session)

    @property
    def client(self) -> str:
        """The parameter of phase connect: ``rdns|src``."""
        address = self.facts.client_address
        return f"{self.facts.client_name}|{f'[{address}]' if ':' in address else address}"

    def know(self, session: SessionState) -> None:
        """Take what the session learned of its client."""
        facts = self.facts
        facts.helo, facts.method, facts.user = session.host_name or "", session.method, session.user
        if session.tls_version:
            facts.tls = f"{session.tls_version}:{session.tls_cipher}:{session.tls_bits}"

    def begin(self, msgid: Msgid, reverse_path: str) -> None:
        """Note that a transaction is open."""
        self.facts.msgid, self.facts.reverse_path = msgid, reverse_path

    def reset(self) -> None:
        """Note that the transaction is over, whatever became of it."""
        self.facts.msgid = self.facts.reverse_path = None
        self.facts.recipients = []
        self.junk = False

    async def ask(self, phase: Phase, parameter: str = "") -> Verdict:
        """Ask the listener's filters; junk is noted."""
        found = self.ask_at_once(phase, parameter)
        return found if isinstance(found, Verdict) else await found

    def ask_at_once(self, phase: Phase, parameter: str = "") -> Verdict | Awaitable[Verdict]:
        """As ``ask``, but ``GO_ON`` itself if none of them minds, as usual."""
        chain = self.screen.chain
        if not chain.members:
            return GO_ON
        found = chain.decide_at_once(phase, self.facts, parameter)
        return GO_ON if found is GO_ON else self._note(phase, found)

    async def _note(self, phase: Phase, found: Verdict | Awaitable[Verdict]) -> Verdict:
        verdict = found if isinstance(found, Verdict) else await found
        if isinstance(verdict.decision, Junk):
            if phase in _OF_TRANSACTIONS:
                self.junk = True
            else:
                self.junk_session = True
        return verdict

    def chain_of(self, domain: str) -> Chain | None:
        """The filters of a hosted domain, if it has any."""
        return self.screen.domains.get(domain)

    def end(self) -> None:
        """The session is over."""
        self.screen.leave(self.facts.session)
