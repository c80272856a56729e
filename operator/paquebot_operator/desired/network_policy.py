"""Who may reach the pods, and what they may reach: nothing that isn't named here."""

from paquebot_operator.api.mailservice import MailService
from paquebot_operator.desired.context import Context
from paquebot_operator.desired.metadata import Manifest, metadata, selector_labels
from paquebot_operator.desired.names import workload_name
from paquebot_operator.desired.ports import admin_port, listener_ports

DNS_PORT = 53
DNS_PORTS = (DNS_PORT, 5353)
"""The second is where some clusters' DNS pods listen behind their Service: a policy sees the pod's port."""
MAIL_PORTS = (24, 25, 465, 587)
NAMESPACE_NAME_LABEL = "kubernetes.io/metadata.name"


def network_policy(service: MailService, context: Context) -> Manifest | None:
    """The NetworkPolicy, unless it is turned off.

    In: listeners from anywhere, the admin port from the operator's namespace and those named. Out: DNS, the ports that
    mail is sent to, wherever, and the namespaces of LMTP servers. Not the API server: pods have nothing to say to it.
    """
    if service.spec.network_policy.mode == "Disabled":
        return None
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata(service, workload_name(service.metadata.name)),
        "spec": {
            "podSelector": {"matchLabels": selector_labels(service)},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": _ingress(service, context),
            "egress": _egress(service, context),
        },
    }


def _ingress(service: MailService, context: Context) -> list[Manifest]:
    listeners = [_tcp(port) for port in listener_ports(service)]
    labels = dict(sorted(service.spec.network_policy.admin_namespace_labels.items()))
    operator = _namespace(context.operator_namespace)
    # An empty selector takes every namespace.
    others = {"namespaceSelector": {"matchLabels": labels} if labels else {}}
    admin = {"from": [operator, others], "ports": [_tcp(admin_port(service))]}
    return [{"ports": listeners}, admin] if listeners else [admin]


def _egress(service: MailService, context: Context) -> list[Manifest]:
    inside = [
        {"namespaceSelector": {"matchLabels": {NAMESPACE_NAME_LABEL: name}}} for name in context.egress.namespaces
    ]
    anywhere: Manifest = {"ports": _ports(service, context)}
    return [anywhere, {"to": inside, "ports": [{"protocol": "TCP"}]}] if inside else [anywhere]


def _ports(service: MailService, context: Context) -> list[Manifest]:
    dns = sorted({*DNS_PORTS, *(_port_of(server) for server in service.spec.resolver.servers)})
    ports = sorted({*MAIL_PORTS, *context.egress.ports})
    udp = [{"protocol": "UDP", "port": port} for port in dns]
    return [*udp, *(_tcp(port) for port in sorted({*dns, *ports}))]


def _port_of(server: str) -> int:
    """Port of ``address``, ``address:port`` or ``[v6]:port``; what is none of them the compiler refuses."""
    if server.startswith("[") or server.count(":") == 1:
        port = server.rpartition(":")[2]
        return int(port) if port.isdecimal() and 0 < int(port) < 65_536 else DNS_PORT
    return DNS_PORT


def _namespace(name: str) -> Manifest:
    return {"namespaceSelector": {"matchLabels": {NAMESPACE_NAME_LABEL: name}}}


def _tcp(port: int) -> Manifest:
    return {"protocol": "TCP", "port": port}
