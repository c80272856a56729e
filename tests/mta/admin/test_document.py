"""docs/cli.md says what the commands say of themselves."""

from pathlib import Path

from paquebot_mta.admin.document import document

PAGE = Path(__file__).resolve().parents[3] / "docs" / "cli.md"


def test_the_page_is_up_to_date() -> None:
    advice = "run: .venv/bin/python -m paquebot_mta.admin.document > docs/cli.md"
    assert PAGE.read_text(encoding="utf-8") == document(), advice
