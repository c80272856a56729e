"""docs/cli.md says what the commands say of themselves."""

import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).resolve().parents[3] / "docs" / "cli.md"


def test_the_page_is_up_to_date() -> None:
    """In a process of its own: a command that a test has called by itself keeps the options that it had then."""
    making = [sys.executable, "-m", "paquebot_mta.admin.document"]
    told = subprocess.run(making, capture_output=True, text=True, check=True, timeout=60).stdout
    advice = "run: .venv/bin/python -m paquebot_mta.admin.document > docs/cli.md"
    assert PAGE.read_text(encoding="utf-8") == told, advice
