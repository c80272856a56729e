"""Answers kept until their time is over; the least recently used go first."""

from collections import OrderedDict
from collections.abc import Callable, Hashable

from paquebot_mta.resolver.questions import Answer


class AnswerCache:
    """Keeps at most ``max_entries`` answers.

    Args:
        max_entries: bound; 0 keeps nothing.
        monotonic: seconds that never go back.
    """

    def __init__(self, max_entries: int, monotonic: Callable[[], float]) -> None:
        self._max_entries = max_entries
        self._monotonic = monotonic
        self._kept: OrderedDict[Hashable, tuple[float, Answer]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, question: Hashable) -> Answer | None:
        """Give an answer that is still good."""
        found = self._kept.get(question)
        if found is None:
            return None
        if found[0] <= self._monotonic():
            del self._kept[question]
            return None
        self._kept.move_to_end(question)
        return found[1]

    def put(self, question: Hashable, answer: Answer) -> None:
        """Keep an answer for its TTL; not at all if that is 0."""
        if answer.ttl_seconds <= 0 or self._max_entries <= 0:
            return
        self._kept[question] = (self._monotonic() + answer.ttl_seconds, answer)
        self._kept.move_to_end(question)
        if len(self._kept) > self._max_entries:
            self._kept.popitem(last=False)
