"""What holds for all tests: a skip never hides in CI, and properties have no wall-clock deadline."""

import os
from collections.abc import Generator

import hypothesis
import pytest

# A shared machine's pauses are not a property's failure; pytest-timeout bounds each test anyway.
hypothesis.settings.register_profile("paquebot", deadline=None, print_blob=True)
hypothesis.settings.load_profile("paquebot")

pytest_plugins = ("tests.kube.fixtures",)

MUST_RUN_IN_CI = ("integration", "crash")


def _in_ci() -> bool:
    return os.environ.get("CI", "").lower() == "true"


def _forbid_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Turn a skip into a failure that keeps the reason."""
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    report.outcome = "failed"
    report.longrepr = f"{report.nodeid} may not be skipped in CI: {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI, a skipped test that needs a peer or crashes processes is a failure."""
    report = yield
    must_run = any(item.get_closest_marker(name) for name in MUST_RUN_IN_CI)
    if report.skipped and must_run and _in_ci() and not hasattr(report, "wasxfail"):
        _forbid_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """In CI, a module that skips itself is a failure: its markers can't be known."""
    report = yield
    if report.skipped and _in_ci():
        _forbid_skip(report)
    return report
