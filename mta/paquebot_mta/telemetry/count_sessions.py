"""How events of sessions change the metrics. Each function binds its series once and returns the counter of one event.

A counter runs for each of the twenty-odd events of a session: no look-up by name, no formatting.
"""

from collections import deque
from collections.abc import Callable
from typing import Any, Final

from paquebot_mta.telemetry.events import (
    LinkAuth,
    LinkConnect,
    LinkDisconnect,
    LinkGreeting,
    LinkIdentify,
    LinkTls,
    ProtocolClient,
    ProtocolServer,
    Timeout,
)
from paquebot_mta.telemetry.labels import CIPHERS, CODES, VERBS, endpoint_of, verb_of
from paquebot_mta.telemetry.metric import OTHER
from paquebot_mta.telemetry.store import Store

Count = Callable[[Any], None]
"""Counts one event of the class that it is registered for."""

_VERBS: Final = frozenset(VERBS)
_CODES: Final = frozenset(CODES)
_CIPHERS: Final = frozenset(CIPHERS)
_MECHANISMS: Final = frozenset({"PLAIN", "LOGIN"})
_MAX_PIPELINED: Final = 1_000


class Dialogues:
    """The commands of each open session that wait for their reply, with the time of each."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self.monotonic = monotonic
        self.endpoints: dict[str, str] = {}
        self._waiting: dict[str, deque[tuple[str, float]]] = {}
        self._last: dict[str, str] = {}

    def open(self, session: str, endpoint: str) -> None:
        """Remember a session: what it waits for first is the banner."""
        self.endpoints[session] = endpoint
        self._waiting[session] = deque([("CONNECT", self.monotonic())], maxlen=_MAX_PIPELINED)

    def close(self, session: str) -> str | None:
        """Forget a session; None if it was never opened, else its endpoint."""
        self._waiting.pop(session, None)
        self._last.pop(session, None)
        return self.endpoints.pop(session, None)

    def ask(self, session: str, verb: str) -> None:
        """Note that a command was sent."""
        if (waiting := self._waiting.get(session)) is not None:
            waiting.append((verb, self.monotonic()))

    def answer(self, session: str) -> tuple[str, float]:
        """Say which command a final reply line answers and how long it took, -1 if nothing waited for it."""
        if waiting := self._waiting.get(session):
            verb, asked = waiting.popleft()
            self._last[session] = verb
            return verb, self.monotonic() - asked
        # LMTP answers the final dot once for each recipient (RFC 2033, 4.2).
        return self._last.get(session, "CONNECT"), -1.0


def _connect(store: Store, dialogues: Dialogues) -> Count:
    sessions = store.series("paquebot_smtp_sessions_total")
    active = store.series("paquebot_smtp_sessions_active")
    fcrdns = store.series("paquebot_smtp_fcrdns_total")

    def count(event: LinkConnect) -> None:
        endpoint = endpoint_of(event.endpoint)
        sessions.add((event.direction, endpoint, event.family))
        active.add((event.direction, endpoint))
        dialogues.open(event.session, endpoint)
        if event.direction == "in":
            fcrdns.add((event.fcrdns,))

    return count


def _disconnect(store: Store, dialogues: Dialogues) -> Count:
    reasons = store.series("paquebot_smtp_disconnects_total")
    active = store.series("paquebot_smtp_sessions_active")
    durations = store.series("paquebot_smtp_session_duration_seconds")

    def count(event: LinkDisconnect) -> None:
        reasons.add((event.direction, event.reason))
        durations.observe((event.direction,), event.duration_seconds)
        if (endpoint := dialogues.close(event.session)) is not None:
            active.add((event.direction, endpoint), -1.0)

    return count


def _greeting(store: Store, _: Dialogues) -> Count:
    delays = store.series("paquebot_smtp_greeting_delay_seconds")
    return lambda event: delays.observe((event.direction,), event.delay_seconds)


def _identify(store: Store, _: Dialogues) -> Count:
    methods = store.series("paquebot_smtp_identify_total")
    return lambda event: methods.add((event.direction, event.method))


def _tls(store: Store, _: Dialogues) -> Count:
    sessions = store.series("paquebot_smtp_tls_sessions_total")

    def count(event: LinkTls) -> None:
        cipher = event.cipher if event.cipher in _CIPHERS else OTHER
        sessions.add((event.direction, event.version, cipher))

    return count


def _auth(store: Store, _: Dialogues) -> Count:
    results = store.series("paquebot_smtp_auth_total")

    def count(event: LinkAuth) -> None:
        mechanism = event.mechanism if event.mechanism in _MECHANISMS else OTHER
        results.add((event.direction, mechanism, event.result))

    return count


def _timeout(store: Store, _: Dialogues) -> Count:
    timeouts = store.series("paquebot_smtp_timeouts_total")
    return lambda event: timeouts.add((event.direction, event.phase))


def _client(store: Store, dialogues: Dialogues) -> Count:
    commands = store.series("paquebot_smtp_commands_total")

    def count(event: ProtocolClient) -> None:
        verb = verb_of(event.command)
        if verb not in _VERBS:
            verb = OTHER
        commands.add((event.direction, verb))
        dialogues.ask(event.session, verb)

    return count


def _server(store: Store, dialogues: Dialogues) -> Count:
    replies = store.series("paquebot_smtp_replies_total")
    durations = store.series("paquebot_smtp_command_duration_seconds")

    def count(event: ProtocolServer) -> None:
        reply = event.reply
        if reply[3:4] == "-":
            return
        code = reply[:3]
        verb, seconds = dialogues.answer(event.session)
        replies.add((event.direction, verb, code if code in _CODES else OTHER))
        if seconds >= 0:
            durations.observe((event.direction, verb), seconds)

    return count


COUNT_SESSIONS: Final[dict[type, Callable[[Store, Dialogues], Count]]] = {
    LinkConnect: _connect,
    LinkDisconnect: _disconnect,
    LinkGreeting: _greeting,
    LinkIdentify: _identify,
    LinkTls: _tls,
    LinkAuth: _auth,
    Timeout: _timeout,
    ProtocolClient: _client,
    ProtocolServer: _server,
}
