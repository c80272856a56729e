"""How a MailService is run: scaling, disruption, monitoring, network policy, DNS checks."""

from typing import Annotated, Literal

from msgspec import Meta, field

from paquebot_operator.api.common import Text
from paquebot_operator.api.quantities import Labels
from paquebot_operator.api.validation import ApiValue, Rule

Replicas = Annotated[int, Meta(ge=0, le=100)]


class Autoscaling(ApiValue, frozen=True, kw_only=True):
    """Number of pods by load, instead of replicas."""

    validations = (
        Rule(
            cel="self.minReplicas <= self.maxReplicas",
            message="minReplicas must not be more than maxReplicas",
            holds=lambda scaling: scaling.min_replicas <= scaling.max_replicas,
        ),
    )

    min_replicas: Annotated[int, Meta(ge=1, le=100, description="Never fewer.")] = 2
    max_replicas: Annotated[int, Meta(ge=1, le=100, description="Never more.")]
    cpu_utilization_percent: Annotated[
        int, Meta(ge=1, le=100, description="Share of the requested CPU that is aimed at.")
    ] = 70


class Disruption(ApiValue, frozen=True, kw_only=True):
    """What a drain of nodes may do to the pods."""

    max_unavailable: Annotated[int, Meta(ge=1, le=100, description="Pods that may be taken away at once.")] = 1


class Monitoring(ApiValue, frozen=True, kw_only=True):
    """Objects for the Prometheus operator."""

    pod_monitor: Annotated[
        Literal["Auto", "Disabled"], Meta(description="A PodMonitor, where that kind exists (Auto), or none.")
    ] = "Auto"
    prometheus_rule: Annotated[
        Literal["Auto", "Disabled"], Meta(description="Alerts as a PrometheusRule, where that kind exists, or none.")
    ] = "Auto"
    labels: Annotated[Labels, Meta(description="Labels of both, by which a Prometheus picks them.")] = field(
        default_factory=dict
    )
    interval_seconds: Annotated[int, Meta(ge=5, le=3_600, description="Time between two scrapes.")] = 30


class NetworkPolicy(ApiValue, frozen=True, kw_only=True):
    """Who may reach the pods: anyone their listeners, these their admin port."""

    mode: Annotated[
        Literal["Enabled", "Disabled"], Meta(description="Whether there is a NetworkPolicy for the pods.")
    ] = "Enabled"
    admin_namespace_labels: Annotated[
        Labels,
        Meta(
            description="Namespaces with all these labels may reach the admin port (metrics, health), besides the "
            "operator's own; empty allows every namespace."
        ),
    ] = field(default_factory=dict)


class DnsCheck(ApiValue, frozen=True, kw_only=True):
    """How it is found out whether a domain's records are published (DNSReady)."""

    mode: Annotated[Literal["Enabled", "Disabled"], Meta(description="Whether records are looked up at all.")] = (
        "Enabled"
    )
    servers: Annotated[
        tuple[Text, ...],
        Meta(max_length=8, description="address, address:port or [IPv6]:port; else the operator's own resolver."),
    ] = ()
    interval_seconds: Annotated[int, Meta(ge=10, le=86_400, description="Time between two checks of a domain.")] = 300
