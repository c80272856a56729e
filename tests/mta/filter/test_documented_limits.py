"""Limits of filters are what the documentation says, and hold for whom it says."""

from pathlib import Path

import pytest

from paquebot_mta.filter.greylist.greylist import MAX_TRIES
from paquebot_mta.filter.greylist.sqlite_store import MAX_BYTES
from paquebot_mta.filter.greylist.store import MAX_ENTRIES
from paquebot_mta.filter.hold import DISK_BYTES

DOCS = Path(__file__).resolve().parents[3] / "docs"


@pytest.mark.parametrize(
    ("page", "sentence"),
    [
        ("filters.md", f"{DISK_BYTES >> 30} GiB for all messages of a worker together"),
        ("filter-services.md", f"A session in which {MAX_TRIES} recipients were told to wait is ended"),
        ("filter-services.md", f"share the queue's volume; {MAX_BYTES >> 20} MiB"),
        ("filter-services.md", f"has its own, {MAX_ENTRIES:,} entries"),
    ],
)
def test_a_limit_is_documented_as_it_is(page: str, sentence: str) -> None:
    assert sentence in " ".join((DOCS / page).read_text().split())
