"""A Service for each listener, and whether clients' addresses survive on the way to it."""

from collections.abc import Iterator

from paquebot_operator.api.common import Condition
from paquebot_operator.api.listeners import Listener
from paquebot_operator.api.mailservice import MailService
from paquebot_operator.desired.metadata import Manifest, metadata, selector_labels, set_only
from paquebot_operator.desired.names import listener_service_name
from paquebot_operator.desired.ports import service_port, tcp_listeners

LISTENER_LABEL = "paquebot.dev/listener"


def listener_services(service: MailService) -> Iterator[Manifest]:
    """The Services; a listener on a unix socket, or of type None, has none."""
    for listener in tcp_listeners(service):
        if listener.service.type != "None":
            yield _service(service, listener)


def client_ip_condition(service: MailService) -> Condition | None:
    """``ClientIPPreserved``: whether limits and filters see who really connects; None if nothing comes from outside.

    externalTrafficPolicy Cluster hides the client behind a node's address, unless a load balancer tells it by the
    PROXY protocol.
    """
    external = [each for each in tcp_listeners(service) if each.service.traffic_policy is not None]
    if not external:
        return None
    hidden = [
        each.name for each in external if each.service.traffic_policy == "Cluster" and each.proxy_protocol is None
    ]
    if not hidden:
        return Condition(type="ClientIPPreserved", status="True", reason="ClientIPPreserved")
    return Condition(
        type="ClientIPPreserved",
        status="False",
        reason="ExternalTrafficPolicyCluster",
        message=f"listeners {', '.join(hidden)}: clients come with a node's address; use externalTrafficPolicy Local, "
        "or a load balancer that speaks the PROXY protocol and proxyProtocol on the listener",
    )


def _service(service: MailService, listener: Listener) -> Manifest:
    wanted = listener.service
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(
            service,
            listener_service_name(service.metadata.name, listener.name),
            annotations=wanted.annotations,
            labels={LISTENER_LABEL: listener.name},
        ),
        "spec": set_only(
            type=wanted.type,
            selector=selector_labels(service),
            ports=[_port(listener)],
            externalTrafficPolicy=wanted.traffic_policy,
            loadBalancerClass=wanted.load_balancer_class,
            loadBalancerSourceRanges=list(wanted.load_balancer_source_ranges),
            publishNotReadyAddresses=False,
        ),
    }


def _port(listener: Listener) -> Manifest:
    return set_only(
        name=listener.name,
        port=service_port(listener),
        targetPort=listener.port,
        nodePort=listener.service.node_port,
        protocol="TCP",
    )
