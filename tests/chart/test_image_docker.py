"""The image as docker builds it: the same Dockerfile, by a daemon of the test's own that has no network of its own."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kube.images import project_image
from tests.support.bridge import compile_bridge
from tests.support.processes import PeerProcess, find_program, peer_directory, run_command

from .rendering import ROOT
from .test_image import MOST_BYTES_OVER_BASE, USER

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1_200)]

BASE, IMAGE = "paquebot-base:local", "paquebot:docker"
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
# Debian's own; another client on PATH may want a plug-in for the builds that the daemon can do.
CLIENT = Path("/usr/bin/docker")


class Docker:
    """A daemon's client."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.socket = f"unix://{place}/socket"

    def run(self, *argv: str, timeout_seconds: float = 60.0) -> str:
        """Run a command to its end, and return what it printed. Raises `PeerError` if it fails."""
        command = ["env", "DOCKER_BUILDKIT=1", str(CLIENT), "--host", self.socket, *argv]
        return run_command(command, timeout_seconds=timeout_seconds).checked().stdout.decode()

    def answers(self) -> bool:
        """Whether the daemon is up."""
        return run_command([str(CLIENT), "--host", self.socket, "version"]).returncode == 0

    def bytes_of(self, image: str) -> int:
        """The size of an image with all its layers."""
        return int(self.run("image", "inspect", image, "--format", "{{.Size}}"))

    def within(self, *argv: str) -> str:
        """What a program of the image prints, with a root that can't be written, without network and rights."""
        restricted = ("--rm", "--network=none", "--read-only", "--cap-drop=ALL")
        return self.run("run", *restricted, "--entrypoint", argv[0], IMAGE, *argv[1:])


@pytest.fixture(scope="module")
def docker() -> Iterator[Docker]:
    """A daemon with nothing in it, on a disk that layers can be stacked on."""
    if os.getuid() != 0:
        pytest.skip("docker's daemon needs root")
    with peer_directory(Path("/var/tmp")) as place:
        paths = (f"--data-root={place}/data", f"--exec-root={place}/exec", f"--pidfile={place}/pid")
        away = ("--bridge=none", "--iptables=false", "--ip-forward=false", "--ip-masq=false")
        found = Docker(place)
        argv = [find_program("dockerd"), *paths, *away, f"--host={found.socket}"]
        with PeerProcess(argv, place / "log") as daemon:
            daemon.wait_for(found.answers, "an answer", 30.0)
            yield found


def _context(place: Path) -> Path:
    """What the image is made of, and the bridge: the base has no compiler, and a fresh checkout nothing compiled."""
    listed = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    for name in ["Dockerfile", ".dockerignore", *listed]:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        copy(ROOT / name, place / name)
    compile_bridge(place / "bridge" / "bridge")
    return place


@pytest.fixture(scope="module")
def built(docker: Docker) -> Docker:
    """The daemon with the image, on the base and with the settings that `tools/image` made for its own."""
    place = project_image().parent
    context = _context(docker.place / "context")
    base = max(place.glob("paquebot-base-*.tar"), key=lambda path: path.stat().st_mtime)
    docker.run("import", str(base), BASE)
    arguments = [f"--build-arg={name}={BASE}" for name in ("BASE", "COMPILER")]
    secrets = [f"--secret=id=pip,src={place / 'pip.conf'}"]
    if CERTIFICATES.exists():
        secrets.append(f"--secret=id=certificates,src={CERTIFICATES}")
    docker.run("build", "--network=host", *secrets, *arguments, f"--tag={IMAGE}", str(context), timeout_seconds=600.0)
    return docker


def test_docker_builds_an_image_as_small(built: Docker) -> None:
    over = built.bytes_of(IMAGE) - built.bytes_of(BASE)
    print(f"image: {over / 1e6:.1f} MB over its base")
    assert over < MOST_BYTES_OVER_BASE


def test_what_docker_built_runs_as_nobody_and_writes_nothing(built: Docker) -> None:
    assert "Usage: paquebot" in built.within("paquebot", "--help")
    assert built.within("id", "-u").strip() == USER
    code = "import os; print(any(os.access(p, os.W_OK) for p, _, _ in os.walk('/opt')))"
    assert built.within("python3", "-c", code) == "False\n"
