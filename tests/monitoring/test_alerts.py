"""promtool's own judgement of the rules, and its unit tests: each alert fires when it should, and not before."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitoring.rules import write_unit_tests
from tests.support.processes import run_command
from tests.support.requirements import needs_programs

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180), needs_programs("promtool")]


def test_rules_are_rules(tmp_path: Path) -> None:
    write_unit_tests(tmp_path)
    run_command(["promtool", "check", "rules", str(tmp_path / "rules.yaml")]).checked()


def test_alerts_fire_when_they_should_and_not_before(tmp_path: Path) -> None:
    tests = write_unit_tests(tmp_path)
    run_command(["promtool", "test", "rules", str(tests)], timeout_seconds=150.0).checked()
