"""`paquebot check`: what it prints, and how it exits."""

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from paquebot_operator.local.check import command
from tests.operator.builders import Json, config_map, domain, service, table


def write(directory: Path, *documents: Json, name: str = "manifests.yaml") -> Path:
    (directory / name).write_text(yaml.safe_dump_all(documents))
    return directory


def check(directory: Path, *options: str) -> Result:
    return CliRunner().invoke(command, [str(directory), *options])


def reasons(result: Result, severity: str) -> set[str]:
    return {finding["reason"] for finding in json.loads(result.stdout) if finding["severity"] == severity}


def test_good_manifests_exit_0(tmp_path: Path) -> None:
    result = check(write(tmp_path, service(), domain()))
    assert result.exit_code == 0
    assert "MailDomain/default/example-test" in result.stdout


def test_warnings_exit_0(tmp_path: Path) -> None:
    result = check(write(tmp_path, service(), domain(mailboxes=["alice"])), "--json")
    assert result.exit_code == 0
    assert reasons(result, "Warning") == {"PostmasterMissing"}


def test_an_error_exits_1_and_names_object_field_reason_and_line(tmp_path: Path) -> None:
    result = check(write(tmp_path, service(), domain(aliasTableRef={"name": "gone"})), "--json")
    assert result.exit_code == 1
    (error,) = [finding for finding in json.loads(result.stdout) if finding["severity"] == "Error"]
    assert error["object"] == "MailDomain/default/example-test"
    assert (error["field"], error["reason"], error["status"]) == ("spec.aliasTableRef", "TableNotFound", "False")
    file, _, line = error["where"].partition(":")
    assert file == "manifests.yaml"
    assert "gone" in (tmp_path / file).read_text().splitlines()[int(line) - 1]


def test_usage_exits_2(tmp_path: Path) -> None:
    assert check(tmp_path / "missing").exit_code == 2
    assert check(tmp_path, "--no-such-option").exit_code == 2


def test_an_empty_directory_is_an_error(tmp_path: Path) -> None:
    result = check(tmp_path, "--json")
    assert result.exit_code == 1
    assert reasons(result, "Error") == {"NothingFound"}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a: &a [1]\nb: *a\n", "InvalidYaml"),
        ("a: 1\na: 2\n", "InvalidYaml"),
        ("kind: MailService\napiVersion: paquebot.dev/v1alpha1\nmetadata: {name: x}\nspec: 1\n", "Invalid"),
        ("kind: Nonsense\napiVersion: paquebot.dev/v1alpha1\nmetadata: {name: x}\n", "Invalid"),
        ("just text\n", "Invalid"),
    ],
)
def test_one_bad_file_never_hides_the_others(tmp_path: Path, text: str, reason: str) -> None:
    write(tmp_path, service(), domain(mailboxes=["alice"]))
    (tmp_path / "bad.yml").write_text(text)
    result = check(tmp_path, "--json")
    assert result.exit_code == 1
    assert reasons(result, "Error") == {reason}
    assert reasons(result, "Warning") == {"PostmasterMissing"}


def test_two_objects_of_one_name_are_an_error(tmp_path: Path) -> None:
    write(tmp_path, service(), domain(), name="a.yaml")
    assert reasons(check(write(tmp_path, domain(), name="b.yaml"), "--json"), "Error") == {"Duplicate"}


def test_objects_of_others_are_passed_over(tmp_path: Path) -> None:
    foreign = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "other"}}
    result = check(write(tmp_path, service(), domain(), foreign, config_map("unused", a="b")), "--json")
    assert result.exit_code == 0
    assert reasons(result, "Warning") == {"UnknownKind"}


def test_a_namespace_beside_our_objects_needs_no_word(tmp_path: Path) -> None:
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "mail"}}
    result = check(write(tmp_path, service(), domain(), namespace), "--json")
    assert (result.exit_code, reasons(result, "Warning")) == (0, set())


def test_a_table_that_nobody_uses_is_judged_too(tmp_path: Path) -> None:
    result = check(write(tmp_path, service(), domain(), table("t", "alias", secretRef={"name": "gone"})), "--json")
    assert reasons(result, "Error") == {"SecretNotFound"}


def test_a_secret_that_a_local_run_makes_is_a_warning_only_if_the_manifest_asks(tmp_path: Path) -> None:
    tls = {"mode": "StartTLS", "certificateRefs": [{"name": "made"}]}
    post = service(listeners=[{"name": "mx", "port": 2525, "tls": tls}])
    assert reasons(check(write(tmp_path, post, domain()), "--json"), "Error") == {"SecretNotFound"}
    post["metadata"]["annotations"] = {"paquebot.dev/generate-certificates": "made"}
    result = check(write(tmp_path, post, domain()), "--json")
    assert (result.exit_code, reasons(result, "Warning")) == (0, {"GeneratedByRun"})


def test_terminal_sequences_in_manifests_are_never_printed(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text('apiVersion: "paquebot.dev/v1alpha1"\nkind: "\\e[31mX"\nmetadata: {name: "\\e"}\n')
    result = check(tmp_path)
    assert result.exit_code == 1
    assert "\x1b" not in result.stdout
