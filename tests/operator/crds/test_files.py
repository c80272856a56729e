"""What `make crds` writes is what lies in the project, and Helm takes it."""

import re
from pathlib import Path

import pytest
import yaml

from paquebot_operator.crds.__main__ import main
from paquebot_operator.crds.definition import definitions
from paquebot_operator.crds.files import generated_files, template

ROOT = Path(__file__).parents[3]
FILES = generated_files()


@pytest.mark.parametrize("name", FILES)
def test_the_file_is_as_made_from_the_models(name: str) -> None:
    assert (ROOT / name).read_text(encoding="utf-8") == FILES[name], "run `make crds`"


@pytest.mark.parametrize("folder", ["charts/paquebot/templates/crds", "charts/paquebot-crds/templates"])
def test_nothing_else_lies_there(folder: str) -> None:
    assert {str(path.relative_to(ROOT)) for path in (ROOT / folder).iterdir()} <= FILES.keys()


def test_a_template_without_its_switches_is_the_definition() -> None:
    for definition in definitions():
        lines = [line for line in template(definition).splitlines() if "{{" not in line]
        rendered = yaml.safe_load("\n".join(lines))
        assert rendered["metadata"].pop("annotations") == {"helm.sh/resource-policy": "keep"}
        assert rendered == definition


def test_a_template_has_its_two_switches_and_no_more() -> None:
    for definition in definitions():
        assert re.findall(r"\{\{- (.*?) \}\}", template(definition)) == [
            "if .Values.crds.enabled",
            "if .Values.crds.keep",
            "end",
            "end",
        ]


def test_what_means_something_to_helm_is_refused() -> None:
    with pytest.raises(ValueError, match="Helm would read it"):
        template({"metadata": {"name": "{{ x }}"}, "spec": {}})


def test_all_is_written_below_a_directory(tmp_path: Path) -> None:
    main([str(tmp_path)])
    assert {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()} == set(FILES)


def test_plain_definitions_can_be_piped_to_kubectl(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--plain"])
    assert tuple(yaml.safe_load_all(capsys.readouterr().out)) == definitions()


def test_the_page_names_every_kind() -> None:
    titles = re.findall(r"^## (\w+)$", FILES["docs/api.md"], re.MULTILINE)
    assert titles == ["Size", "MailService", "MailDomain", "Table", "MailFilter"]
