"""The sessions that are open, counted in all, by client (in IPv6 its /64) and by network."""

from collections.abc import Iterator

from paquebot_mta.accept import answers
from paquebot_mta.accept.host import Sweepable
from paquebot_mta.accept.rates import client_of, network_of
from paquebot_mta.config.service import Limits
from paquebot_mta.mail.reply import Reply

_LOCAL = "local"


class Crowd:
    """Counts who is there."""

    def __init__(self) -> None:
        """Start empty."""
        self._sessions: set[Sweepable] = set()
        self._by_client: dict[str, int] = {}
        self._by_network: dict[str, int] = {}

    def __len__(self) -> int:
        """Sessions that are open."""
        return len(self._sessions)

    def __iter__(self) -> Iterator[Sweepable]:
        """Go through a copy: sessions end while one looks."""
        return iter(tuple(self._sessions))

    def refusal(self, limits: Limits, address: str) -> Reply | None:
        """Say why one more session is too much; processes of this machine count in the total only."""
        if len(self._sessions) >= limits.sessions:
            return answers.TOO_MANY_SESSIONS
        if address == _LOCAL:
            return None
        if self._by_client.get(client_of(address), 0) >= limits.sessions_per_client:
            return answers.TOO_MANY_FROM_YOU
        if limits.sessions_per_network and self._by_network.get(network_of(address), 0) >= limits.sessions_per_network:
            return answers.TOO_MANY_FROM_NETWORK
        return None

    def add(self, session: Sweepable, address: str) -> None:
        """Count a session in."""
        self._sessions.add(session)
        for counts, key in self._counts_of(address):
            counts[key] = counts.get(key, 0) + 1

    def remove(self, session: Sweepable, address: str) -> None:
        """Count a session out."""
        self._sessions.discard(session)
        for counts, key in self._counts_of(address):
            left = counts.get(key, 0) - 1
            if left > 0:
                counts[key] = left
            else:
                counts.pop(key, None)

    def _counts_of(self, address: str) -> tuple[tuple[dict[str, int], str], ...]:
        """Give what counts a client, and the keys there."""
        return (self._by_client, client_of(address)), (self._by_network, network_of(address))
