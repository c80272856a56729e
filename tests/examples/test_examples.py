"""The examples are good: `paquebot check` says so, and the quickstart compiles to what is written down."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from paquebot_mta.config.codec import encode, load
from paquebot_operator.local.build import build
from paquebot_operator.local.check import command
from paquebot_operator.local.state import State

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
GOLDEN = Path(__file__).with_name("quickstart.golden.json")
DIRECTORIES = sorted(path for path in EXAMPLES.iterdir() if path.is_dir())


def test_there_are_examples() -> None:
    assert {"quickstart", "smarthost", "lmtp-dovecot", "backup-mx"} <= {path.name for path in DIRECTORIES}


@pytest.mark.parametrize("directory", DIRECTORIES, ids=lambda path: path.name)
def test_check_accepts_the_example(directory: Path) -> None:
    result = CliRunner().invoke(command, [str(directory), "--json"])
    findings = json.loads(result.stdout)
    assert result.exit_code == 0, findings
    # Nothing is to be said about an example but that a local run makes its Secrets.
    assert {each["reason"] for each in findings if each["severity"] != "Info"} <= {"GeneratedByRun"}


def test_the_quickstart_compiles_to_the_golden_document(tmp_path: Path) -> None:
    built = build(EXAMPLES / "quickstart", State(tmp_path), None, datetime.now(UTC))
    config = load(built.files)
    assert config == built.config
    document = json.loads(encode(config.service)) | {"domains": [json.loads(encode(config.domains["example.test"]))]}
    for certificate in document["certificates"].values():
        certificate |= {"chainPem": "(made on the spot)", "keyPem": "(made on the spot)"}
    for entry in (users := document["tables"]["default/submission-users"]["inline"]["entries"]):
        users[entry] = "(made on the spot)"
    assert json.dumps(document, indent=2) + "\n" == GOLDEN.read_text()
