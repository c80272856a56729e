"""How commands find an API server, and what people are told where there is none."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from paquebot_operator.cluster.login import ConfigurationError, load_configuration
from paquebot_operator.command import command as operator
from paquebot_operator.release.apply import command as apply
from paquebot_operator.release.verify import command as verify

KUBECONFIG = """\
apiVersion: v1
kind: Config
current-context: it
clusters: [{{name: it, cluster: {{server: "https://{host}:6443"}}}}]
contexts: [{{name: it, context: {{cluster: it, user: me}}}}]
users: [{{name: me, user: {{token: secret}}}}]
"""
MANIFEST = "{apiVersion: paquebot.dev/v1alpha1, kind: MailService, metadata: {name: post, namespace: mail}}"
VERIFY = (verify, "--namespace", "mail", "--address", "127.0.0.1", "--port", "0")
OPERATOR = (operator, "--image", "paquebot:test", "--namespace", "mail", "--listen", "127.0.0.1:0")

WHICH = ["operator", "verify", "apply"]


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A home without a kubeconfig, on a machine that is no pod."""
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "post.yaml").write_text(MANIFEST, encoding="utf-8")
    return tmp_path


def written(path: Path, host: str = "api.example.test") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(KUBECONFIG.format(host=host), encoding="utf-8")
    return path


def run(command: click.Command, *arguments: object) -> Result:
    return CliRunner().invoke(command, [str(each) for each in arguments])


def run_one(which: str, home: Path, *more: object) -> Result:
    if which == "apply":
        return run(apply, home / "post.yaml", *more)
    return run(*(OPERATOR if which == "operator" else VERIFY), *more)


@pytest.mark.parametrize("which", WHICH)
def test_a_command_without_a_cluster_says_so_in_one_sentence(home: Path, which: str) -> None:
    result = run_one(which, home)
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == 1
    (line,) = result.output.splitlines()
    assert line.startswith("Error: no API server is known: give --kubeconfig FILE")


@pytest.mark.parametrize("which", WHICH)
def test_a_kubeconfig_that_is_not_there_is_named(home: Path, which: str) -> None:
    result = run_one(which, home, "--kubeconfig", home / "gone")
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.output == f"Error: kubeconfig {home / 'gone'}: no such file\n"


@pytest.mark.parametrize("text", ["a: [", "just text", "apiVersion: v1\nkind: Config\n", "[]", "a: b: c", "\x00"])
def test_a_file_that_is_no_kubeconfig_is_told_in_one_line(home: Path, text: str) -> None:
    path = home / "config"
    path.write_text(text, encoding="utf-8")
    result = run(*VERIFY, "--kubeconfig", path)
    assert isinstance(result.exception, SystemExit), result.exception
    (line,) = result.output.splitlines()
    assert line.startswith(f"Error: kubeconfig {path}: ")


async def test_the_kubeconfig_at_home_is_used(home: Path) -> None:
    with pytest.raises(ConfigurationError):
        await load_configuration(None)
    written(home / ".kube" / "config")
    assert (await load_configuration(None)).host == "https://api.example.test:6443"


async def test_several_kubeconfigs_are_one(home: Path) -> None:
    found = await load_configuration(Path(f"{home / 'gone'}:{written(home / 'a', 'a.example.test')}"))
    assert found.host == "https://a.example.test:6443"


def test_the_environment_names_the_kubeconfig_of_every_command(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(home / ".kube" / "config")
    monkeypatch.setenv("KUBECONFIG", str(home / "other"))
    for which in WHICH:
        result = run_one(which, home)
        assert result.output == f"Error: kubeconfig {home / 'other'}: no such file\n"


def test_an_address_that_is_none_is_refused(home: Path) -> None:
    result = run(*VERIFY, "--mx", "mail.example.test")
    assert result.exit_code == 2
    assert "mail.example.test is not HOST:PORT" in result.output
