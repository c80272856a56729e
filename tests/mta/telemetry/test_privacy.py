"""Properties of the scrubber: no address gets through, nothing unprintable is left, no text is slow."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paquebot_mta.telemetry.privacy import Privacy
from paquebot_mta.telemetry.render import Head, clean, render_json

_around = st.text(st.sampled_from(' <>()[],;:"\t\n'), min_size=1, max_size=3)
_locals = st.from_regex(r"zz[a-z0-9.+_=/!#$%&'*?^`{|}~-]{2,20}zz", fullmatch=True)


@given(before=st.text(max_size=20), left=_around, name=_locals, right=_around, after=st.text(max_size=20))
def test_an_address_never_gets_through(before: str, left: str, name: str, right: str, after: str) -> None:
    scrubbed = Privacy("Pseudonym", b"key").scrub(f"{before}{left}{name}@example.test{right}{after}")
    assert name not in scrubbed
    assert "@example.test" in scrubbed


@given(numbers=st.tuples(*[st.integers(0, 255)] * 4), left=_around, right=_around)
def test_an_ip_address_never_gets_through(numbers: tuple[int, int, int, int], left: str, right: str) -> None:
    address = ".".join(map(str, numbers))
    scrubbed = Privacy("Pseudonym", b"key").scrub(f"x{left}{address}{right}x")
    loopback = address.startswith("127.0.0.")
    assert (address in scrubbed) == (loopback or numbers[3] == 0)


@given(text=st.text(st.characters()))
def test_what_is_written_is_printable(text: str) -> None:
    assert clean(text).isprintable()


@given(text=st.text(st.characters(exclude_categories=())), other=st.text(max_size=5))
def test_a_json_line_has_each_value_cleaned_whatever_the_other_values_are(text: str, other: str) -> None:
    head = Head("info", "library.message", "library", "mta-0", 1)
    line = render_json(head, "2023-11-14T22:13:20.500000Z", {"text": text, "number": 5, "other": other})
    assert line.decode().removesuffix("\n").isprintable()
    told = json.loads(line)
    assert (told["text"], told["number"], told["other"]) == (clean(text), 5, clean(other))


@pytest.mark.parametrize("fields", [{}, {"text": "x" * 3_000}])
def test_lines_without_fields_and_with_long_ones_are_json(fields: dict[str, str | float]) -> None:
    told = json.loads(render_json(Head("info", "a", "b", "c", 1), "now", dict(fields)))
    assert told == {
        "ts": "now",
        "level": "info",
        "event": "a",
        "component": "b",
        "pod": "c",
        "gen": 1,
        **{key: clean(str(value)) for key, value in fields.items()},
    }


@pytest.mark.parametrize(
    "piece", ["a", "a@", "@", '"', '"a', "1.", "1-", ":", "a:", "0:", "<", "=", "[a", "a@[", '"a"@']
)
def test_no_text_takes_long_to_scrub(piece: str) -> None:
    hostile = piece * (4_000 // len(piece))
    started = time.process_time()
    Privacy("Pseudonym", b"key").scrub(f"{hostile}@", ["a@example.test", "alice@example.test"])
    assert time.process_time() - started < 0.05
