"""Images for the cluster: the project's own, and images of one static program, made without a tool for images.

Source of the form: the Docker image specification, v1.2, "combined image JSON and filesystem changeset format".
"""

from __future__ import annotations

import hashlib
import io
import json
import platform
import subprocess
import tarfile
from pathlib import Path

from .programs import UnavailableError

PROJECT_IMAGE = "paquebot:test"
PAUSE = "paquebot.invalid/pause:1"
"""What holds a pod's namespaces."""
_TOOL = Path(__file__).resolve().parents[2] / "tools" / "image"
_BUILD_SECONDS = 1_200
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def project_image() -> Path:
    """Return the archive of `PROJECT_IMAGE`, built where that was not done. Raises `UnavailableError`."""
    done = subprocess.run([_TOOL], capture_output=True, text=True, timeout=_BUILD_SECONDS, check=False)
    if done.returncode != 0:
        raise UnavailableError("; ".join(done.stderr.strip().splitlines()[-3:]))
    return Path(done.stdout.strip().splitlines()[-1])


def whole_name(name: str) -> str:
    """Return an image's name as containerd keeps it: with registry and folder."""
    return name if "/" in name else f"docker.io/library/{name}"


def write_program_image(path: Path, program: Path, name: str) -> Path:
    """Write a docker archive whose image `name` runs that static program, as user 65535; return its path."""
    layer = _tar({program.name: program.read_bytes()}, mode=0o755)
    digest = hashlib.sha256(layer).hexdigest()
    image = {
        "architecture": _ARCHITECTURES.get(platform.machine(), platform.machine()),
        "os": "linux",
        "config": {"Entrypoint": [f"/{program.name}"], "User": "65535:65535"},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
    }
    manifest = [{"Config": "image.json", "RepoTags": [name], "Layers": ["layer.tar"]}]
    files = {
        "layer.tar": layer,
        "image.json": json.dumps(image).encode(),
        "manifest.json": json.dumps(manifest).encode(),
    }
    path.write_bytes(_tar(files, mode=0o644))
    return path


def _tar(files: dict[str, bytes], *, mode: int) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), mode
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()
