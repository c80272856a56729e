"""A key ring is refused in words that hold nothing of it, wherever somebody put a secret."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paquebot_mta.config.key_ring import key_ring_fault

SECRET = "tulip-anchor-seventeen"
ENTRY = {"id": 1, "createdAt": "2026-11-21T00:00:00Z"}


@pytest.mark.parametrize(
    ("ring", "said"),
    [
        ([{**ENTRY, SECRET: "key"}], "Object contains unknown field - at `$[0]`"),
        ([{**ENTRY, f"{SECRET} - at `$[9]": 1}], "Object contains unknown field - at `$[0]`"),
        ([{**ENTRY, "key": SECRET}], "Invalid base64 encoded string - at `$[0].key`"),
        ([{**ENTRY, "createdAt": SECRET}], "Invalid RFC3339 encoded datetime - at `$[0].createdAt`"),
        ([{**ENTRY, "id": SECRET}], "Expected `int`, got `str` - at `$[0].id`"),
        ({SECRET: ENTRY}, "Expected `array`, got `object`"),
        ([SECRET], "Expected `object`, got `str` - at `$[0]`"),
    ],
)
def test_a_refusal_names_the_place_and_never_what_is_there(ring: object, said: str) -> None:
    assert key_ring_fault(json.dumps(ring)) == said


@given(st.text(), st.sampled_from(["field", "text"]))
def test_whatever_is_refused_the_refusal_is_short_and_of_ascii(text: str, where: str) -> None:
    fault = key_ring_fault(json.dumps([{**ENTRY, text: 1}]) if where == "field" else text)
    assert fault.isascii()
    assert len(fault) < 200
