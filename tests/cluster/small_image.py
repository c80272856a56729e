"""`docker build` and `docker push` for lines of the documents, without docker, a registry, or any image of others.

The program of that name is a few lines of shell around buildah; what is pushed becomes an archive for the nodes.
"""

from __future__ import annotations

import shlex
from pathlib import Path

from tests.support.processes import find_program, run_command
from tests.support.unpacked import package_directory

BASE = "localhost/base"
_DOCKER = """\
#!/bin/sh
set -eu
command=$1
shift
case $command in
    build) {buildah} bud --quiet --isolation=chroot --build-arg=BASE={base} "$@" ;;
    push) {buildah} push --quiet "$1" "docker-archive:{archive}:$1" ;;
esac
"""


class Builder:
    """Makes images in a directory; `programs` is what PATH has to begin with."""

    def __init__(self, directory: Path) -> None:
        self.programs = directory / "programs"
        self.archive = directory / "pushed.tar"
        place = ["--storage-driver=vfs", f"--root={directory / 'storage'}", f"--runroot={directory / 'run'}"]
        self._buildah = [find_program("buildah"), *place]
        self.programs.mkdir()
        docker = self.programs / "docker"
        buildah = shlex.join(self._buildah)
        docker.write_text(_DOCKER.format(buildah=buildah, base=BASE, archive=self.archive))
        docker.chmod(0o755)

    def make_base(self, **scripts: str) -> None:
        """Make the base of all images: a shell with its commands, and these scripts as /NAME."""
        root = self.programs.parent / "base"
        (root / "bin").mkdir(parents=True)
        busybox = package_directory("busybox-static") / "bin" / "busybox"
        (root / "bin" / "busybox").write_bytes(busybox.read_bytes())
        (root / "bin" / "busybox").chmod(0o755)
        for name in run_command([str(busybox), "--list"]).checked().stdout.decode().split():
            if name != "busybox":
                (root / "bin" / name).symlink_to("busybox")
        for name, text in scripts.items():
            (root / name).write_text(text)
            (root / name).chmod(0o755)
        container = self._run("from", "scratch")
        self._run("add", "--quiet", container, str(root), "/")
        self._run("commit", "--quiet", "--rm", container, BASE)

    def _run(self, *arguments: str) -> str:
        return run_command([*self._buildah, *arguments], timeout_seconds=60.0).checked().stdout.decode().strip()
