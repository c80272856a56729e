"""`paquebot filter test` asks filters about a record, and says what each decides."""

import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from paquebot_operator.local.filter_command import command

EXAMPLES = Path(__file__).resolve().parents[3] / "examples" / "filters"
S = "7641df9771b4ed00"
RECORD = [
    "link-connect|{S}|localhost|pass|127.0.0.1:38236|127.0.0.1:30025",
    "protocol-client|{S}|EHLO client.test",
    "link-identify|{S}|EHLO|client.test",
    "protocol-client|{S}|MAIL FROM:<a@b.test>",
    "tx-begin|{S}|508f4cf1",
    "tx-mail|{S}|508f4cf1|ok|a@b.test",
    "protocol-client|{S}|RCPT TO:<nobody@example.test>",
    "tx-reset|{S}|508f4cf1",
    "link-disconnect|{S}",
]
PROCESS = """apiVersion: paquebot.dev/v1alpha1
kind: MailFilter
metadata: {{name: hello}}
spec: {{process: {{command: ["{python}", "{program}"]}}}}
---
apiVersion: paquebot.dev/v1alpha1
kind: MailFilter
metadata: {{name: names}}
spec:
  builtin:
    phase: Ehlo
    when: {{any: [{{helo: {{values: [client.test]}}}}]}}
    action: {{reject: {{code: 550, text: not you}}}}
"""


def _record(path: Path) -> Path:
    lines = [f"{number}|report|0.7|1.000000|smtp-in|{line}" for number, line in enumerate(RECORD, 1)]
    path.write_text("\n".join(lines).format(S=S) + "\n")
    return path


@pytest.mark.slow
def test_each_decision_is_printed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    manifest = tmp_path / "filter.yaml"
    manifest.write_text(PROCESS.format(python=sys.executable, program=EXAMPLES / "hello.py"))
    done = CliRunner().invoke(command, ["test", str(manifest), "--record", str(_record(tmp_path / "record"))])
    printed = capfd.readouterr()
    assert done.exit_code == 0, printed.err + done.output
    assert f"{S} ehlo      client.test -> reject 550 5.7.1 not you  (default/names)" in printed.out
    assert f"{S} rcpt-to   nobody@example.test -> reject 550 5.1.1 Nobody is here  (default/hello)" in printed.out
    assert "1 sessions; 0 missing" in printed.err


def test_a_manifest_without_filters_is_refused(tmp_path: Path) -> None:
    manifest = tmp_path / "filter.yaml"
    manifest.write_text("kind: ConfigMap\napiVersion: v1\nmetadata: {name: a}\n")
    done = CliRunner().invoke(command, ["test", str(manifest), "--record", str(_record(tmp_path / "record"))])
    assert done.exit_code == 1
    assert "no MailFilter" in done.output
