"""The image: what is in it, and that all of Paquebot runs from it, as nobody and without a writable root."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.kube.images import project_image
from tests.kube.programs import UnavailableError
from tests.support.processes import CommandResult, run_command

from .rendering import ROOT

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1_500)]

MOST_BYTES_OVER_BASE = 150_000_000
USER = "65532"
IMPORT_ALL = (
    "import importlib, pkgutil, paquebot_mta, paquebot_operator\n"
    "for package in (paquebot_mta, paquebot_operator):\n"
    "    for each in pkgutil.walk_packages(package.__path__, package.__name__ + '.'):\n"
    "        if not each.name.endswith('__main__'): importlib.import_module(each.name)\n"
    "print('all')\n"
)


@pytest.fixture(scope="module")
def archive() -> Path:
    """The image as tools/image builds it; minutes the first time, and nothing afterwards."""
    try:
        return project_image()
    except UnavailableError as error:
        if os.getuid() != 0:
            pytest.skip(str(error))
        raise


@pytest.fixture(scope="module")
def parts(archive: Path) -> dict[str, Any]:
    """The image's configuration, its layers' names, lowest first, and their sizes."""
    with tarfile.open(archive) as whole:
        (listed,) = json.loads(_content(whole, "manifest.json"))
        sizes = {name: whole.getmember(name).size for name in listed["Layers"]}
        return {**listed, "config": json.loads(_content(whole, listed["Config"])), "sizes": sizes}


@pytest.fixture(scope="module")
def root(archive: Path, parts: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The image's files, unpacked."""
    place = tmp_path_factory.mktemp("image")
    for layer in parts["Layers"]:
        subprocess.run(f"tar -xOf {archive} {layer} | tar -xC {place}", shell=True, check=True, timeout=120)  # noqa: S602
    place.chmod(0o755)
    return place


def _content(archive: tarfile.TarFile, name: str) -> bytes:
    found = archive.extractfile(name)
    assert found is not None
    return found.read()


def within(root: Path, *argv: str) -> CommandResult:
    command = ["chroot", f"--userspec={USER}:{USER}", str(root), "/usr/bin/env", "-i", "PATH=/opt/paquebot/bin", *argv]
    return run_command(command, timeout_seconds=60.0)


def own_files(archive: Path, parts: dict[str, Any]) -> Iterator[str]:
    """Yield the names of all files over the base."""
    with tarfile.open(archive) as whole:
        for layer in parts["Layers"][1:]:
            found = whole.extractfile(layer)
            assert found is not None
            with tarfile.open(fileobj=found) as files:
                yield from files.getnames()


def test_it_is_small_over_its_base(parts: dict[str, Any]) -> None:
    over = sum(parts["sizes"][layer] for layer in parts["Layers"][1:])
    print(f"image: {over / 1e6:.1f} MB over its base of {parts['sizes'][parts['Layers'][0]] / 1e6:.1f} MB")
    assert over < MOST_BYTES_OVER_BASE


def test_a_commit_changes_a_small_layer_only(parts: dict[str, Any]) -> None:
    assert parts["sizes"][parts["Layers"][-1]] < 12_000_000


def test_it_starts_paquebot_as_nobody(parts: dict[str, Any]) -> None:
    config = parts["config"]["config"]
    assert config["User"] == f"{USER}:{USER}"
    assert config["Entrypoint"] == ["paquebot"]
    assert config.get("StopSignal") == "SIGTERM"
    assert config["Labels"]["org.opencontainers.image.licenses"] == "Apache-2.0"
    # As the kubelet looks for an image that pods call paquebot:test.
    assert any(tag.endswith("library/paquebot:test") for tag in parts["RepoTags"])


def test_nothing_of_the_build_is_in_it(archive: Path, parts: dict[str, Any]) -> None:
    names = list(own_files(archive, parts))
    packages = {name.partition("site-packages/")[2].partition("/")[0] for name in names if "site-packages/" in name}
    assert not packages & {"pip", "uv", "hatchling", "pytest", "mypy", "tests"}
    assert not [name for name in names if name.endswith(("pip.conf", ".pyi", ".pyx", ".pem")) and "certifi" not in name]
    assert not [name for name in names if "/tests/" in name]


def test_all_of_paquebot_is_compiled(root: Path) -> None:
    site = next((root / "opt/paquebot/lib").glob("python3*")) / "site-packages"
    sources = [path for name in ("paquebot_mta", "paquebot_operator") for path in (site / name).rglob("*.py")]
    assert len(sources) > 300
    missing = [path for path in sources if not list((path.parent / "__pycache__").glob(f"{path.stem}.cpython-*.pyc"))]
    assert missing == []


def test_every_module_is_found_and_every_command_helps(root: Path) -> None:
    assert within(root, "python3", "-c", IMPORT_ALL).checked().stdout == b"all\n"
    for command in ("mta", "operator", "apply", "verify", "send"):
        assert b"Usage: paquebot" in within(root, "paquebot", command, "--help").checked().stdout


def test_it_has_the_bridge_that_needs_nothing(root: Path) -> None:
    assert b"usage: bridge [--no-network] SOCKET PROGRAM" in within(root, "paquebot-bridge").stderr


def test_programs_find_sendmail_where_it_always_was(root: Path) -> None:
    """Without a service and a volume it says so, by the exit code that callers know: EX_TEMPFAIL."""
    assert (root / "usr/sbin/sendmail").readlink() == Path("/opt/paquebot/bin/paquebot")
    left = within(root, "/usr/sbin/sendmail", "-i", "-f", "a@example.test", "b@example.test")
    assert (left.returncode, left.stderr[:9]) == (75, b"sendmail:")


def test_it_can_write_nothing_of_its_own(root: Path) -> None:
    code = "import os; print([p for p, _, _ in os.walk('/opt') if os.access(p, os.W_OK)], os.access('/etc', os.W_OK))"
    assert within(root, "python3", "-c", code).checked().stdout == b"[] False\n"


def test_the_operator_uses_no_more_of_the_kubernetes_client_than_is_kept() -> None:
    used = set()
    for path in (ROOT / "operator").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("kubernetes"):
                used |= {f"{node.module}.{name.name}" for name in node.names}
            if isinstance(node, ast.Import):
                used |= {name.name for name in node.names if name.name.startswith("kubernetes")}
    # Classes for each kind are not in the image (see the Dockerfile).
    assert used <= {"kubernetes.aio.config", "kubernetes.aio.client.ApiClient", "kubernetes.aio.client.Configuration"}
