"""The filter: one question a message, and what follows from the answer."""

from typing import Literal

from paquebot_mta.config.filters import Kind, Rspamd
from paquebot_mta.filter.contract import NO_CHANGES, Changes, Content, Facts, FilterError
from paquebot_mta.filter.decisions import PROCEED, Decision
from paquebot_mta.filter.rspamd.answer import AnswerError, parse_answer
from paquebot_mta.filter.rspamd.client import RspamdClient
from paquebot_mta.filter.rspamd.request import request_fields
from paquebot_mta.filter.rspamd.verdict import changes_of, decision_of
from paquebot_mta.filter.tools import Places, Tools
from paquebot_mta.filter.watch import WatchedFilter


class RspamdFilter(WatchedFilter):
    """Judges messages; longer ones than it may see go on."""

    kind: Literal["builtin", "proc"] = "proc"
    judges_content = True
    shared = True

    def __init__(self, name: str, config: Rspamd, tools: Tools) -> None:
        """Connect to nothing yet."""
        self._client = RspamdClient(config.url, config.timeout_seconds)
        super().__init__(name, frozenset(), self._client.ping, tools.bus.emit)
        self._config = config
        self._hostname = tools.hostname

    async def judge(self, facts: Facts, content: Content) -> tuple[Decision, Changes]:
        """Ask."""
        if content.size > self._config.max_bytes:
            return PROCEED, NO_CHANGES
        fields = request_fields(facts, hostname=facts.hostname or self._hostname, password=self._config.password)
        try:
            body = await self._client.check(fields, content)
        except FilterError:
            self._watch.doubt()
            raise
        self._watch.heard()
        try:
            answer = parse_answer(body)
        except AnswerError as error:
            raise FilterError(str(error), "protocol") from error
        changes = changes_of(answer, facts, headers=self._config.headers)
        return decision_of(answer, reject=self._config.reject), changes

    async def close(self) -> None:
        """Close the connections."""
        await super().close()
        await self._client.close()


def build_rspamd(name: str, kind: Kind, places: Places, tools: Tools) -> RspamdFilter:
    """Make one (implements ``Maker``)."""
    assert isinstance(kind, Rspamd)
    return RspamdFilter(name, kind, tools)
