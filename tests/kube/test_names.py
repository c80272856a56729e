"""Names of Services and volumes of claims: which there are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .names import service_zones
from .volumes import STORAGE_CLASS, released_volumes, wanted_volumes


def service(name: str, **spec: object) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "mail"}, "spec": spec}


def endpoint_slice(name: str, *endpoints: dict[str, Any], kind: str = "IPv4") -> dict[str, Any]:
    metadata = {"namespace": "mail", "labels": {"kubernetes.io/service-name": name}}
    return {"metadata": metadata, "addressType": kind, "endpoints": list(endpoints)}


def test_a_service_has_its_address() -> None:
    zones = service_zones([service("mx", clusterIP="10.0.0.7")], [])
    assert zones == {"mx.mail.svc.cluster.local": {"A": ["10.0.0.7"]}}


def test_a_headless_service_has_the_addresses_of_those_that_are_ready() -> None:
    ready = {"addresses": ["10.1.0.1"], "conditions": {"ready": True}, "hostname": "pod-0"}
    starting = {"addresses": ["10.1.0.2"], "conditions": {"ready": False}}
    zones = service_zones([service("each", clusterIP="None")], [endpoint_slice("each", ready, starting)])
    assert zones == {
        "each.mail.svc.cluster.local": {"A": ["10.1.0.1"]},
        "pod-0.each.mail.svc.cluster.local": {"A": ["10.1.0.1"]},
    }
    everybody = service("each", clusterIP="None", publishNotReadyAddresses=True)
    zones = service_zones([everybody], [endpoint_slice("each", ready, starting)])
    assert zones["each.mail.svc.cluster.local"] == {"A": ["10.1.0.1", "10.1.0.2"]}


def test_a_headless_service_without_pods_exists_and_has_no_address() -> None:
    others = [endpoint_slice("other", {"addresses": ["10.1.0.9"]}), endpoint_slice("each", kind="IPv6")]
    assert service_zones([service("each", clusterIP="None")], others) == {"each.mail.svc.cluster.local": {}}


def test_an_external_name_is_an_alias() -> None:
    zones = service_zones([service("out", type="ExternalName", externalName="mx.example.test")], [])
    assert zones == {"out.mail.svc.cluster.local": {"CNAME": ["mx.example.test."]}}


def claim(uid: str, **spec: object) -> dict[str, Any]:
    wanted = {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Gi"}}}
    metadata = {"name": "queue", "namespace": "mail", "uid": uid}
    return {"metadata": metadata, "spec": {"storageClassName": STORAGE_CLASS, **wanted, **spec}}


def test_a_claim_gets_one_volume_bound_to_it_alone(tmp_path: Path) -> None:
    (volume,) = wanted_volumes([claim("1")], [], tmp_path)
    assert volume["spec"]["claimRef"]["uid"] == "1"
    assert volume["spec"]["hostPath"]["path"].startswith(f"{tmp_path}/")
    assert wanted_volumes([claim("1")], [volume], tmp_path) == []


def test_bound_claims_and_those_of_other_classes_get_nothing(tmp_path: Path) -> None:
    claims = [claim("1", volumeName="there"), claim("2", storageClassName="other"), claim("3", storageClassName="")]
    assert wanted_volumes(claims, [], tmp_path) == []


def test_a_volume_goes_when_its_claim_has_gone(tmp_path: Path) -> None:
    volumes = [
        {**wanted_volumes([claim(uid)], [], tmp_path)[0], "status": {"phase": uid}} for uid in ("Bound", "Released")
    ]
    foreign = {"spec": {"storageClassName": "other"}, "status": {"phase": "Released"}}
    assert [volume["status"]["phase"] for volume in released_volumes([*volumes, foreign])] == ["Released"]
