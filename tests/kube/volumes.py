"""Volumes for claims: directories that all nodes see, so a volume may be written from several at once.

A claim of the storage class gets a PersistentVolume of type hostPath, bound to it and to nothing else; when the claim
is gone, so are the volume and its directory. Must not know how objects come and go.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from .api import Manifest

STORAGE_CLASS = "shared"


def storage_class() -> Manifest:
    """Return the class, which is the default one."""
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": STORAGE_CLASS, "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
        "provisioner": "paquebot.invalid/shared-directory",
        "reclaimPolicy": "Retain",
        "volumeBindingMode": "Immediate",
    }


def wanted_volumes(claims: Iterable[Manifest], volumes: Iterable[Manifest], directory: Path) -> list[Manifest]:
    """Return the volumes that claims of the class wait for, each with a path of its own in `directory`."""
    known = {volume["metadata"]["name"] for volume in volumes}
    ours = (claim for claim in claims if claim["spec"].get("storageClassName") == STORAGE_CLASS)
    wanted = (_volume(claim, directory) for claim in ours if not claim["spec"].get("volumeName"))
    return [volume for volume in wanted if volume["metadata"]["name"] not in known]


def released_volumes(volumes: Iterable[Manifest]) -> list[Manifest]:
    """Return the volumes of the class whose claim is gone."""
    ours = (volume for volume in volumes if volume["spec"].get("storageClassName") == STORAGE_CLASS)
    return [volume for volume in ours if volume.get("status", {}).get("phase") == "Released"]


def _volume(claim: Manifest, directory: Path) -> Manifest:
    metadata, spec = claim["metadata"], claim["spec"]
    name = f"{STORAGE_CLASS}-{metadata['uid']}"
    claim_ref = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        **{field: metadata[field] for field in ("namespace", "name", "uid")},
    }
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {
            "capacity": spec["resources"]["requests"],
            "accessModes": spec["accessModes"],
            "storageClassName": STORAGE_CLASS,
            "persistentVolumeReclaimPolicy": "Retain",
            "claimRef": claim_ref,
            "hostPath": {"path": str(directory / name), "type": "Directory"},
        },
    }
