"""MailServices to build objects from: named ones with golden files, and any valid one."""

from typing import Any

from hypothesis import strategies as st

from paquebot_operator.api.decode import decode
from paquebot_operator.api.mailservice import MailService
from paquebot_operator.desired import Context
from paquebot_operator.desired.context import Egress
from tests.operator.builders import Json, metadata, service

UID = "0c5d9f6e-5b0f-4a53-9a8e-3f1f6f0c2b11"
CONTEXT = Context(image="registry.example.test/paquebot:1.2.3", operator_namespace="paquebot-system")
RICH_CONTEXT = Context(
    image="registry.example.test/paquebot:1.2.3",
    operator_namespace="paquebot-system",
    egress=Egress(ports=(25, 2424), namespaces=("mailboxes",)),
    has_pod_monitors=True,
    has_prometheus_rules=True,
)


def mail_service(name: str = "post", *, namespace: str = "mail", **spec: Any) -> MailService:
    """A valid MailService with `spec` over a small one."""
    document = service(**spec) | {"metadata": metadata(name, namespace, uid=UID, generation=3)}
    found = decode(document)
    assert isinstance(found, MailService)
    return found


def listener(name: str = "mx", port: int = 2525, **more: Any) -> Json:
    return {"name": name, "port": port} | more


SUBMISSION: Json = {
    "name": "submissions",
    "port": 4650,
    "role": "Submission",
    "tls": {"mode": "Implicit", "certificateRefs": [{"name": "tls"}]},
    "auth": {"mode": "Required", "credentialsRef": {"name": "users"}},
    "service": {"type": "LoadBalancer", "loadBalancerSourceRanges": ["192.0.2.0/24"], "annotations": {"lb/x": "1"}},
}
RICH: Json = {
    "listeners": [
        listener(service={"type": "LoadBalancer", "loadBalancerClass": "example.test/lb", "nodePort": 30025}),
        SUBMISSION,
        listener("lmtp", 24, role="LMTP", service={"type": "ClusterIP", "port": 2400}),
        listener("inside", 2526, service={"type": "None"}),
        {"name": "local", "address": "unix:/run/paquebot/lmtp.sock", "role": "LMTP"},
    ],
    "replicas": 3,
    "autoscaling": {"minReplicas": 3, "maxReplicas": 12, "cpuUtilizationPercent": 60},
    "disruption": {"maxUnavailable": 2},
    "monitoring": {"labels": {"release": "prometheus"}, "intervalSeconds": 15},
    "networkPolicy": {"adminNamespaceLabels": {"monitoring": "yes"}},
    "resolver": {"servers": ["192.0.2.53", "192.0.2.54:5300", "[2001:db8::53]:5301"]},
    "queue": {"storage": {"size": "50Gi", "storageClassName": "shared"}},
    "pods": {
        "image": "registry.example.test/paquebot:patched",
        "imagePullPolicy": "Always",
        "imagePullSecrets": [{"name": "pull"}],
        "workers": 4,
        "resources": {"requests": {"cpu": "2", "memory": "1Gi"}, "limits": {"memory": "2Gi"}},
        "nodeSelector": {"pool": "mail"},
        "tolerations": [{"key": "mail", "value": "only", "effect": "NoSchedule"}],
        "spread": {"mode": "Required", "topologyKey": "topology.kubernetes.io/zone"},
        "priorityClassName": "important",
        "labels": {"team": "post"},
        "annotations": {"note": "hello"},
        "serviceAccountAnnotations": {"who": "post"},
        "terminationGracePeriodSeconds": 300,
    },
}
GOLDEN: dict[str, tuple[MailService, Context]] = {
    "small": (mail_service(), CONTEXT),
    "rich": (mail_service("rich", **RICH), RICH_CONTEXT),
    "per-pod": (
        mail_service("mail.example.test", queue={"storage": {"mode": "PerPod", "size": "5Gi"}}, replicas=1),
        CONTEXT,
    ),
}

LABELS = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", fullmatch=True)
NAMES = st.from_regex(r"[a-z0-9](-?[a-z0-9]){0,30}(\.[a-z0-9](-?[a-z0-9]){0,40}){0,4}", fullmatch=True).filter(
    lambda name: len(name) <= 253
)
_PORTS = st.integers(1, 65_535)
_KEYS = st.from_regex(r"(example\.test/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,40}[A-Za-z0-9])?", fullmatch=True)
_VALUES = st.from_regex(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,40}[A-Za-z0-9])?)?", fullmatch=True)
_MAPS = st.dictionaries(_KEYS, _VALUES, max_size=3)
_EXPOSURES = st.one_of(
    st.fixed_dictionaries({"type": st.sampled_from(["None", "ClusterIP"])}, optional={"port": _PORTS}),
    st.fixed_dictionaries(
        {"type": st.sampled_from(["NodePort", "LoadBalancer"])},
        optional={
            "port": _PORTS,
            "externalTrafficPolicy": st.sampled_from(["Local", "Cluster"]),
            "annotations": _MAPS,
        },
    ),
)
_LISTENERS = st.lists(
    st.fixed_dictionaries(
        {"name": LABELS, "port": _PORTS, "role": st.sampled_from(["MX", "LMTP"])}, optional={"service": _EXPOSURES}
    ),
    min_size=1,
    max_size=6,
    unique_by=(lambda each: str(each["name"]), lambda each: str(each["port"])),
)
_AMOUNTS = st.fixed_dictionaries(
    {}, optional={"cpu": st.sampled_from(["500m", "2"]), "memory": st.sampled_from(["64Mi", "1.5Gi", "1000000000"])}
)
_PODS = st.fixed_dictionaries(
    {},
    optional={
        "workers": st.integers(1, 64),
        "resources": st.fixed_dictionaries({}, optional={"requests": _AMOUNTS}),
        "nodeSelector": _MAPS,
        "labels": _MAPS,
        "annotations": _MAPS,
        "spread": st.fixed_dictionaries({"mode": st.sampled_from(["Preferred", "Required", "Disabled"])}),
        "terminationGracePeriodSeconds": st.integers(1, 86_400),
    },
)
_STORAGE = st.one_of(
    st.fixed_dictionaries({"claimName": NAMES}),
    st.fixed_dictionaries(
        {"mode": st.sampled_from(["Shared", "PerPod"])}, optional={"size": st.sampled_from(["1Gi", "500M"])}
    ),
)
_SPECS = st.fixed_dictionaries(
    {"listeners": _LISTENERS},
    optional={
        "replicas": st.integers(0, 100),
        "pods": _PODS,
        "queue": st.fixed_dictionaries(
            {}, optional={"storage": _STORAGE, "backend": st.sampled_from(["Journal", "Memory", "Null"])}
        ),
        "autoscaling": st.fixed_dictionaries({"maxReplicas": st.integers(2, 100)}),
        "networkPolicy": st.fixed_dictionaries({"mode": st.sampled_from(["Enabled", "Disabled"])}),
    },
)
MAIL_SERVICES = st.builds(lambda name, spec: mail_service(name, **spec), NAMES, _SPECS)
CONTEXTS = st.sampled_from([CONTEXT, RICH_CONTEXT])
