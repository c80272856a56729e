"""What a skip means: named always, forbidden in CI where a peer must be there."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SKIPPED_TEST = "import pytest\n@pytest.mark.{marker}\ndef test_peer() -> None:\n    pytest.skip('no peer here')\n"
SKIPPED_MODULE = "import pytest\npytest.skip('no peer here', allow_module_level=True)\n"

pytestmark = pytest.mark.slow


def _run(folder: Path, source: str, *, ci: str) -> subprocess.CompletedProcess[str]:
    (folder / "test_it.py").write_text(source)
    own_folder = [f"--rootdir={folder}", "-o", f"cache_dir={folder}/cache"]
    options = ["-c", str(ROOT / "pyproject.toml"), *own_folder, "-p", "tests.conftest"]
    return subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(folder / "test_it.py")],
        env={**os.environ, "CI": ci},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


@pytest.mark.parametrize("marker", ["integration", "crash"])
def test_a_skipped_peer_test_fails_in_ci_with_its_reason(tmp_path: Path, marker: str) -> None:
    done = _run(tmp_path, SKIPPED_TEST.format(marker=marker), ci="true")
    assert done.returncode == pytest.ExitCode.TESTS_FAILED
    assert "may not be skipped in CI" in done.stdout
    assert "no peer here" in done.stdout


def test_a_skipped_module_fails_in_ci(tmp_path: Path) -> None:
    done = _run(tmp_path, SKIPPED_MODULE, ci="true")
    assert done.returncode == pytest.ExitCode.INTERRUPTED
    assert "no peer here" in done.stdout


def test_a_skip_elsewhere_passes_and_is_named(tmp_path: Path) -> None:
    done = _run(tmp_path, SKIPPED_TEST.format(marker="integration"), ci="")
    assert done.returncode == pytest.ExitCode.OK
    assert "no peer here" in done.stdout


def test_other_skips_pass_in_ci(tmp_path: Path) -> None:
    assert _run(tmp_path, SKIPPED_TEST.format(marker="slow"), ci="true").returncode == pytest.ExitCode.OK
