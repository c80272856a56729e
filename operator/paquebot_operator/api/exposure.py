"""How a listener is reached: the Service of Kubernetes in front of it."""

from typing import Annotated, Literal

from msgspec import Meta, field

from paquebot_operator.api.common import Network, Port
from paquebot_operator.api.quantities import Annotations, LabelKey
from paquebot_operator.api.validation import ApiValue, Rule

_EXTERNAL = ("NodePort", "LoadBalancer")


class ListenerService(ApiValue, frozen=True, kw_only=True):
    """The Service of a listener; a listener on a unix socket has none."""

    validations = (
        Rule(
            cel="!has(self.nodePort) || self.type in ['NodePort', 'LoadBalancer']",
            message="nodePort needs type NodePort or LoadBalancer",
            holds=lambda service: service.node_port is None or service.type in _EXTERNAL,
        ),
        Rule(
            cel="!has(self.externalTrafficPolicy) || self.type in ['NodePort', 'LoadBalancer']",
            message="externalTrafficPolicy needs type NodePort or LoadBalancer",
            holds=lambda service: service.external_traffic_policy is None or service.type in _EXTERNAL,
        ),
        Rule(
            cel="!has(self.loadBalancerClass) || self.type == 'LoadBalancer'",
            message="loadBalancerClass needs type LoadBalancer",
            holds=lambda service: service.load_balancer_class is None or service.type == "LoadBalancer",
        ),
        Rule(
            cel="self.loadBalancerSourceRanges.size() == 0 || self.type == 'LoadBalancer'",
            message="loadBalancerSourceRanges needs type LoadBalancer",
            holds=lambda service: not service.load_balancer_source_ranges or service.type == "LoadBalancer",
        ),
    )

    type: Annotated[
        Literal["None", "ClusterIP", "NodePort", "LoadBalancer"],
        Meta(description="None: no Service. ClusterIP: within the cluster. The others: from outside too."),
    ] = "ClusterIP"
    port: Annotated[
        Port | None,
        Meta(description="Port of the Service; by role and TLS if left out: MX 25, Submission 587 or 465, LMTP 24."),
    ] = None
    node_port: Annotated[Port | None, Meta(description="Port on each node; chosen by Kubernetes if left out.")] = None
    external_traffic_policy: Annotated[
        Literal["Local", "Cluster"] | None,
        Meta(description="Local keeps the client's address, which limits and filters need; default where external."),
    ] = None
    load_balancer_class: Annotated[LabelKey | None, Meta(description="Which implementation of load balancers.")] = None
    load_balancer_source_ranges: Annotated[
        tuple[Network, ...], Meta(max_length=64, description="Networks (CIDR) of clients; all if empty.")
    ] = ()
    annotations: Annotated[Annotations, Meta(description="Annotations of the Service: load balancers' options.")] = (
        field(default_factory=dict)
    )

    @property
    def traffic_policy(self) -> Literal["Local", "Cluster"] | None:
        """externalTrafficPolicy in force; None where nothing comes from outside."""
        return (self.external_traffic_policy or "Local") if self.type in _EXTERNAL else None
