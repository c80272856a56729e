"""Which limits hold for a domain."""

import pytest

from paquebot_mta.config.service import DestinationLimits
from paquebot_mta.table.destinations import Destinations

ENTRIES = [DestinationLimits(domain=each) for each in ("early.a.test", "*.a.test", "late.a.test", "b.test", "mx*.test")]


@pytest.mark.parametrize(
    ("domain", "pattern"),
    [
        ("early.a.test", "early.a.test"),
        ("late.a.test", "*.a.test"),
        ("x.a.test", "*.a.test"),
        ("b.test", "b.test"),
        ("mx7.test", "mx*.test"),
        ("a.test", None),
        ("x.y.a.test", None),
        ("xb.test", None),
        ("", None),
    ],
)
def test_the_first_pattern_that_matches_counts(domain: str, pattern: str | None) -> None:
    found = Destinations(ENTRIES).find(domain)
    assert (found.domain if found else None) == pattern
