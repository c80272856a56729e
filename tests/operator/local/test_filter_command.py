"""`paquebot filter test` asks filters about a record, and says what each decides."""

import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner

from paquebot_operator.local.filter_command import command
from tests.support.processes import free_port

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


def _record(path: Path, record: Sequence[str] = RECORD) -> Path:
    lines = [f"{number}|report|0.7|1.000000|smtp-in|{line}" for number, line in enumerate(record, 1)]
    path.write_text("\n".join(lines).format(S=S) + "\n")
    return path


GREYLIST = """apiVersion: paquebot.dev/v1alpha1
kind: MailFilter
metadata: {{name: grey}}
spec: {{greylist: {{store: "sqlite:{store}", spf: false}}}}
"""
LETTER = b"Subject: Hello\nFrom: a@b.test\n\nfirst\n--dashes\n"
CONTENT = """apiVersion: paquebot.dev/v1alpha1
kind: MailFilter
metadata: {{name: all}}
spec: {{chain: [{{name: footer}}, {{name: scan}}, {{name: end}}]}}
---
apiVersion: paquebot.dev/v1alpha1
kind: MailFilter
metadata: {{name: footer}}
spec: {{process: {{command: ["{python}", "{program}"]}}}}
---
apiVersion: paquebot.dev/v1alpha1
kind: MailFilter
metadata: {{name: scan}}
spec: {{rspamd: {{url: "http://127.0.0.1:{port}"}}}}
---
apiVersion: paquebot.dev/v1alpha1
kind: MailFilter
metadata: {{name: end}}
spec: {{builtin: {{phase: Commit, action: {{reject: {{code: 554, text: after all}}}}}}}}
"""


def _of_content(folder: Path, *options: str) -> None:
    """Run the command on a record with a whole transaction, a message and filters that look at it."""
    manifest, letter = folder / "filter.yaml", folder / "letter.eml"
    manifest.write_text(CONTENT.format(python=sys.executable, program=EXAMPLES / "footer.py", port=free_port()))
    letter.write_bytes(LETTER)
    commit = ["protocol-client|{S}|DATA", "tx-data|{S}|508f4cf1|ok", "protocol-client|{S}|."]
    record = _record(folder / "record", (*RECORD[:-3], *commit, *RECORD[-2:]))
    done = CliRunner().invoke(
        command, ["test", str(manifest), "--record", str(record), "--message", str(letter), *options]
    )
    assert done.exit_code == 0, done.output


@pytest.mark.slow
def test_what_filters_make_of_content_is_printed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    _of_content(tmp_path)
    printed = capfd.readouterr()
    assert f"{S} content   {len(LETTER) + 5} bytes -> proceed" in printed.out
    assert f"{S}   +X-Footer: yes\n{S}   +Sent through our own filter\n" in printed.out, printed.out
    assert "default/scan is not asked: it is a service of its own" in printed.err
    assert f"{S} commit    - -> reject 554 5.7.1 after all  (default/end)" in printed.out


@pytest.mark.slow
def test_a_rehearsal_makes_no_stranger_known(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    manifest, store = tmp_path / "filter.yaml", tmp_path / "greylist.db"
    manifest.write_text(GREYLIST.format(store=store))
    for _ in range(2):
        done = CliRunner().invoke(command, ["test", str(manifest), "--record", str(_record(tmp_path / "record"))])
        assert done.exit_code == 0, done.output
        assert "rcpt-to   nobody@example.test -> reject 451 4.7.1 Greylisted" in capfd.readouterr().out
    assert not store.exists()


@pytest.mark.slow
def test_a_service_is_asked_where_that_is_wanted(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    _of_content(tmp_path, "--ask-services")
    printed = capfd.readouterr()
    assert f"{S} commit    default/scan can't answer: ClientConnectorError" in printed.err
    assert "bytes -> reject 451 4.7.1" in printed.out
    assert f"{S} commit    -" not in printed.out, "who is refused already is asked nothing more"


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
