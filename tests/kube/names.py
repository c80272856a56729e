"""The names of Services, as the cluster's DNS answers them.

Source: the Kubernetes DNS-based service discovery specification, 1.1.0 (A and CNAME records). Must not know how queries
come in.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from .api import Manifest

DOMAIN = "cluster.local"
Zones = dict[str, dict[str, list[str]]]


def service_zones(services: Iterable[Manifest], slices: Iterable[Manifest]) -> Zones:
    """Return the records of all Services: `slices` are the EndpointSlices, for those without an address."""
    endpoints: dict[tuple[str, str], list[Manifest]] = defaultdict(list)
    for one in slices:
        metadata = one["metadata"]
        service = metadata.get("labels", {}).get("kubernetes.io/service-name", "")
        if one.get("addressType") == "IPv4":
            endpoints[metadata["namespace"], service].extend(one.get("endpoints") or [])
    zones: Zones = {}
    for service in services:
        metadata = service["metadata"]
        zones.update(_zones_of(service, endpoints[metadata["namespace"], metadata["name"]]))
    return zones


def _zones_of(service: Manifest, endpoints: list[Manifest]) -> Zones:
    metadata, spec = service["metadata"], service["spec"]
    name = f"{metadata['name']}.{metadata['namespace']}.svc.{DOMAIN}"
    if spec.get("type") == "ExternalName":
        return {name: {"CNAME": [f"{spec['externalName']}."]}}
    if spec.get("clusterIP", "None") != "None":
        return {name: {"A": [spec["clusterIP"]]}}
    return _headless(name, list(_answering(endpoints, everybody=spec.get("publishNotReadyAddresses", False))))


def _answering(endpoints: list[Manifest], *, everybody: bool) -> Iterator[Manifest]:
    for endpoint in endpoints:
        if everybody or endpoint.get("conditions", {}).get("ready", True):
            yield endpoint


def _headless(name: str, endpoints: list[Manifest]) -> Zones:
    zones: Zones = {name: {"A": [address for endpoint in endpoints for address in endpoint["addresses"]]}}
    for endpoint in endpoints:
        if endpoint.get("hostname"):
            zones[f"{endpoint['hostname']}.{name}"] = {"A": list(endpoint["addresses"])}
    if not zones[name]["A"]:
        zones[name] = {}
    return zones
