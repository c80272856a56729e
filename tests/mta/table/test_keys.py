"""Checks of keys promise what tables need: what passes them can be made, what doesn't can't."""

from typing import get_args

from hypothesis import given
from hypothesis import strategies as st

from paquebot_mta.config.check_keys import MatchMode, key_faults
from paquebot_mta.config.check_tables import check_table
from paquebot_mta.config.errors import Faults
from paquebot_mta.config.tables import Inline, Service, Table
from paquebot_mta.table.static import StaticTable

SERVICES: tuple[Service, ...] = get_args(Service)
MODES: tuple[MatchMode, ...] = get_args(MatchMode)
KEYS = st.one_of(
    st.text(st.sampled_from("aA*.@^$(|)+![]:/12"), max_size=8),
    st.sampled_from(
        ("192.0.2.0/24", "[2001:db8::]/32", "::ffff:192.0.2.0/120", "local", "!192.0.2.1", "*." * 9 + "x", "x@*.*" * 3)
    ),
)


def can_be_made(keys: tuple[str, ...], services: tuple[Service, ...], mode: MatchMode) -> bool:
    try:
        StaticTable(Inline(keys=keys), services, mode)
    except ValueError:
        return False
    return True


@given(
    st.lists(KEYS, max_size=4).map(tuple),
    st.lists(st.sampled_from(SERVICES), min_size=1, max_size=2).map(tuple),
    st.sampled_from(MODES),
)
def test_keys_without_a_fault_and_no_others_make_a_table(
    keys: tuple[str, ...], services: tuple[Service, ...], mode: MatchMode
) -> None:
    assert can_be_made(keys, services, mode) is not any(key_faults(keys, services, mode))


def test_a_table_with_too_many_wildcards_is_refused_before_pods_start_with_it() -> None:
    faults = Faults()
    check_table(Table(services=("domain",), inline=Inline(keys=("*." * 9 + "x",))), "t", faults)
    assert [str(fault) for fault in faults.found] == [f"t.inline: entry '{'*.' * 9}x': more than 8 wildcards"]
