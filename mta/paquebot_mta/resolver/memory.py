"""A resolver that answers from a dict, for tests and for running without a network (implements ``Resolver``)."""

from collections.abc import Mapping, Sequence
from typing import Final, get_args

from paquebot_mta.resolver.questions import Answer, RdType, Status

Zones = Mapping[str, Mapping[str, Sequence[str]]]
"""Name -> type -> records, as ``{"example.test": {"MX": ["10 mx.example.test", "0 ."], "A": ["192.0.2.1"]}}``.

One record ``!servfail`` (or another status) stands for that answer; the type ``*`` for all types.
"""

_MAX_CHAIN: Final = 8
_STATUSES: Final = frozenset(get_args(Status))


class MemoryResolver:
    """Answers at once; ``asked`` lists the questions in order."""

    def __init__(self, zones: Zones, *, ttl_seconds: int = 300, authenticated: bool = False) -> None:
        self.zones = {_fold(name): records for name, records in zones.items()}
        self.asked: list[tuple[str, str]] = []
        self._ttl_seconds = ttl_seconds
        self._authenticated = authenticated

    async def ask(self, name: str, rdtype: RdType) -> Answer:
        """Look the name up, CNAMEs followed."""
        self.asked.append((_fold(name), rdtype))
        for _ in range(_MAX_CHAIN + 1):
            types = self.zones.get(_fold(name))
            if types is None:
                return Answer("nxdomain")
            records = types.get(rdtype, types.get("*"))
            if records is not None:
                return self._answer(rdtype, records)
            if "CNAME" not in types:
                return Answer("nodata")
            name = types["CNAME"][0]
        return Answer("error")

    def _answer(self, rdtype: RdType, records: Sequence[str]) -> Answer:
        if len(records) == 1 and (status := records[0].removeprefix("!")) in _STATUSES:
            return Answer(status)  # type: ignore[arg-type]
        texts: tuple[str, ...] = ()
        mx: tuple[tuple[int, str], ...] = ()
        if rdtype == "MX":
            mx = tuple((int(preference), _fold(host)) for preference, host in (each.split() for each in records))
        else:
            texts = tuple(_fold(each) if rdtype in {"PTR", "CNAME"} else each for each in records)
        return Answer("ok", texts, mx, self._ttl_seconds, self._authenticated)


def _fold(name: str) -> str:
    return name.lower().removesuffix(".")
