"""`tools/kube` builds once, and says what it lacks."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from .programs import TOOL


def run_tool(tmp_path: Path, **env: str) -> subprocess.CompletedProcess[str]:
    own = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache"), "PATH": f"{tmp_path}:/usr/bin:/bin"}
    return subprocess.run([TOOL], env={**own, **env}, capture_output=True, text=True, timeout=30, check=False)


def write_program(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_an_old_go_is_named(tmp_path: Path) -> None:
    write_program(
        tmp_path / "go", 'case $1 in env) echo go1.19.8;; version) echo "go version go1.19.8 linux/amd64";; esac'
    )
    done = run_tool(tmp_path)
    assert done.returncode != 0
    assert "Go 1.19.8 is too old: 1.24.0 or later is needed" in done.stderr


@pytest.mark.skipif(os.path.exists("/usr/bin/go"), reason="a Go of the system can't be hidden")
def test_a_missing_go_is_named_with_what_to_do(tmp_path: Path) -> None:
    done = run_tool(tmp_path)
    assert done.returncode != 0
    assert "install Go 1.24.0 or later" in done.stderr
    assert done.stdout == ""


def test_the_programs_of_envtest_are_taken_where_they_are_named(tmp_path: Path) -> None:
    write_program(tmp_path / "kube-apiserver", "true")
    done = run_tool(tmp_path, KUBEBUILDER_ASSETS=str(tmp_path))
    assert (done.returncode, done.stdout.strip()) == (0, str(tmp_path))


def test_programs_of_envtest_that_are_not_there_are_refused(tmp_path: Path) -> None:
    done = run_tool(tmp_path, KUBEBUILDER_ASSETS=str(tmp_path / "nowhere"))
    assert done.returncode != 0
    assert "has no kube-apiserver" in done.stderr


def test_what_is_built_already_is_only_named(kube_programs: Path) -> None:
    done = subprocess.run([TOOL], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout.strip() == str(kube_programs)
    assert done.stderr == ""
