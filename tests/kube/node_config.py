"""Configuration of a node's programs: kubelet, containerd, the CNI plugins, kube-proxy. Pure: values in, text out."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .images import PAUSE
from .names import DOMAIN

SOCKET = "/run/containerd/containerd.sock"
CNI_PLUGINS = Path("/usr/lib/cni")
STATUS_SECONDS = 2
"""How often a kubelet says that its node is alive."""


@dataclass(frozen=True)
class NodeSettings:
    """What one node is: `home` is its directory, `dns` an address, `pods` and `all_pods` ranges."""

    name: str
    home: Path
    address: str
    dns: str
    pods: str
    all_pods: str
    cgroup: str
    ca: Path
    certificate: Path
    key: Path
    snapshotter: str


def kubelet_config(node: NodeSettings) -> str:
    """Return a KubeletConfiguration, which works with control groups of either version and any full disk."""
    little = dict.fromkeys(("memory.available", "nodefs.available", "imagefs.available"), "1%")
    return _json(
        {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": str(node.ca)},
            },
            "authorization": {"mode": "Webhook"},
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": node.cgroup,
            "clusterDNS": [node.dns],
            "clusterDomain": DOMAIN,
            "containerRuntimeEndpoint": f"unix://{SOCKET}",
            "enforceNodeAllocatable": ["none"],
            "evictionHard": little,
            "failCgroupV1": False,
            "failSwapOn": False,
            "imageGCHighThresholdPercent": 100,
            "imageGCLowThresholdPercent": 99,
            "nodeLeaseDurationSeconds": 4 * STATUS_SECONDS,
            "nodeStatusUpdateFrequency": f"{STATUS_SECONDS}s",
            "podLogsDir": str(node.home / "logs"),
            "resolvConf": str(node.home / "resolv.conf"),
            "tlsCertFile": str(node.certificate),
            "tlsPrivateKeyFile": str(node.key),
        }
    )


def kube_proxy_config(node: NodeSettings, kubeconfig: Path) -> str:
    """Return a KubeProxyConfiguration: nftables, and none of the settings that only a machine's own namespace has."""
    untouched = {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"}
    return _json(
        {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "mode": "nftables",
            "clientConnection": {"kubeconfig": str(kubeconfig)},
            "clusterCIDR": node.all_pods,
            "conntrack": untouched,
            "hostnameOverride": node.name,
            "nftables": {"minSyncPeriod": "0.1s"},
        }
    )


def containerd_config(node: NodeSettings) -> str:
    """Return containerd's configuration, its root in the node's directory.

    Where root lacks CAP_SYS_RESOURCE, no process may lower its out-of-memory score: hence the restriction.
    """
    return f"""\
version = 2
root = {_json(str(node.home / "containerd"))}
state = "/run/containerd"
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs",
                    "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.devmapper"]
[grpc]
address = "{SOCKET}"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{PAUSE}"
disable_apparmor = true
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "{node.snapshotter}"
default_runtime_name = "runc"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
SystemdCgroup = false
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{CNI_PLUGINS}"
conf_dir = {_json(str(node.home / "cni"))}
"""


def pod_network(node: NodeSettings) -> str:
    """Return the CNI configuration: each pod has a link of its own to the node.

    No bridge: the answer of a Service's pod to its neighbour on the same bridge would pass by the node's rules.
    """
    ipam = {"type": "host-local", "ranges": [[{"subnet": node.pods}]], "routes": [{"dst": "0.0.0.0/0"}]}
    plugin = {"type": "ptp", "ipMasq": False, "mtu": 1500, "ipam": {**ipam, "dataDir": "/var/lib/cni/networks"}}
    return _json({"cniVersion": "0.4.0", "name": "pods", "plugins": [plugin]})


def _json(value: Any) -> str:
    return json.dumps(value, indent=2)
