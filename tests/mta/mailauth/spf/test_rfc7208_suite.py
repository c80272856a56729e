"""The test suite of openspf.org for RFC 7208: every scenario that it has."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from paquebot_mta.mailauth.spf import check_spf
from paquebot_mta.resolver.memory import MemoryResolver

SUITE = Path(__file__).resolve().parents[3] / "vectors" / "spf" / "rfc7208-tests.yml"


class Case(NamedTuple):
    zones: Mapping[str, Mapping[str, Sequence[str]]]
    client_address: str
    reverse_path: str
    helo: str
    results: tuple[str, ...]
    explanation: str | None


def _text(value: Any) -> str:
    return "".join(value) if isinstance(value, list) else str(value)


def _records(entries: Sequence[Any]) -> dict[str, list[str]]:
    """Read one name's records: SPF is TXT, unless TXT is there too; a bare TIMEOUT stands for all that is missing."""
    found: dict[str, list[str]] = {}
    for entry in entries:
        if entry == "TIMEOUT":
            found["*"] = ["!timeout"]
            continue
        ((kind, value),) = entry.items()
        if value == "TIMEOUT":
            found[kind] = ["!timeout"]
        elif kind == "MX":
            found.setdefault(kind, []).append(f"{value[0]} {value[1] or '.'}")
        else:
            found.setdefault(kind, []).append(_text(value))
    spf = found.pop("SPF", None)
    if spf is not None and "TXT" not in found:
        found["TXT"] = spf
    if found.get("TXT") == ["NONE"]:
        del found["TXT"]
    return found


def _cases() -> Iterator[Any]:
    for scenario in yaml.safe_load_all(SUITE.read_text(encoding="utf-8")):
        zones = {name: _records(entries) for name, entries in scenario["zonedata"].items()}
        for name, test in scenario["tests"].items():
            wanted = test["result"] if isinstance(test["result"], list) else [test["result"]]
            case = Case(zones, test["host"], test["mailfrom"], test["helo"], tuple(wanted), test.get("explanation"))
            yield pytest.param(case, id=f"{scenario['description']}: {name}")


CASES = tuple(_cases())


def test_the_suite_is_all_there() -> None:
    assert len(CASES) == 203


@pytest.mark.parametrize("case", CASES)
async def test_the_suite_of_rfc_7208(case: Case) -> None:
    found = await check_spf(
        MemoryResolver(case.zones),
        client_address=case.client_address,
        reverse_path=case.reverse_path,
        helo=case.helo,
    )
    assert found.result in case.results, found
    if case.explanation is not None:
        assert found.explanation == ("" if case.explanation == "DEFAULT" else case.explanation)
