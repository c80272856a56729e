"""MailService: a pool of MTA pods."""

from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from paquebot_operator.api.actions import NamedAction
from paquebot_operator.api.common import Hostname, Namespace, ObjectMeta, Status
from paquebot_operator.api.listeners import Listener
from paquebot_operator.api.matches import ServiceRule
from paquebot_operator.api.operations import Autoscaling, Disruption, DnsCheck, Monitoring, NetworkPolicy, Replicas
from paquebot_operator.api.outbound import Outbound
from paquebot_operator.api.pods import Pods
from paquebot_operator.api.reports import ReportSubscriber
from paquebot_operator.api.tuning import Bounce, Limits, Logging, Queue, Resolver
from paquebot_operator.api.validation import ApiValue, Rule, unique


class DomainNamespaces(ApiValue, frozen=True, kw_only=True):
    """Namespaces whose MailDomains may attach."""

    validations = (
        Rule(
            cel="(self.from == 'Selector') == (self.names.size() > 0)",
            message="names are needed for, and only for, from Selector",
            holds=lambda namespaces: (namespaces.from_ == "Selector") == bool(namespaces.names),
        ),
    )

    from_: Annotated[
        Literal["Same", "All", "Selector"], Meta(description="The service's own, all, or those selected.")
    ] = "Same"
    names: Annotated[tuple[Namespace, ...], Meta(max_length=256, description="Namespaces that Selector selects.")] = ()


class AllowedDomains(ApiValue, frozen=True, kw_only=True):
    """Which MailDomains may attach."""

    namespaces: Annotated[DomainNamespaces, Meta(description="By namespace.")] = DomainNamespaces()


class MailServiceSpec(ApiValue, frozen=True, kw_only=True):
    """What a pool of MTA pods does."""

    validations = (
        unique("listeners", "name"),
        unique("actions", "name"),
        unique("rules", "name"),
        unique("reports", "name"),
        Rule(
            cel="self.listeners.all(one, !has(one.port) || self.listeners.exists_one(other, "
            "has(other.port) && other.port == one.port && other.address == one.address))",
            message="two listeners have the same address and port",
            holds=lambda spec: not _twins(spec),
            where=lambda spec: f"listeners[{_twins(spec)[0]}].port",
        ),
        Rule(
            cel="self.rules.all(rule, !has(rule.action) || self.actions.exists(one, one.name == rule.action))",
            message="a rule's action is not in actions: add it, or name another",
            holds=lambda spec: not _lost(spec),
            where=lambda spec: f"rules[{_lost(spec)[0]}].action",
        ),
    )

    hostname: Annotated[Hostname, Meta(description="Our name: banner, EHLO, Received, Reporting-MTA.")]
    listeners: Annotated[tuple[Listener, ...], Meta(min_length=1, max_length=32, description="Where sessions come in.")]
    rules: Annotated[
        tuple[ServiceRule, ...], Meta(max_length=256, description="First match wins; no match is 550.")
    ] = ()
    actions: Annotated[tuple[NamedAction, ...], Meta(max_length=64, description="What rules name.")] = ()
    allowed_domains: Annotated[AllowedDomains, Meta(description="Who may attach domains.")] = AllowedDomains()
    allow_open_relay: Annotated[
        bool, Meta(description="Accept rules that send mail from anyone to anyone. Spammers will find it.")
    ] = False
    queue: Annotated[Queue, Meta(description="The spool.")] = Queue()
    limits: Annotated[Limits, Meta(description="What one client may use up.")] = Limits()
    outbound: Annotated[Outbound, Meta(description="Sending.")] = Outbound()
    resolver: Annotated[Resolver, Meta(description="DNS.")] = Resolver()
    bounce: Annotated[Bounce, Meta(description="Notifications to senders.")] = Bounce()
    logging: Annotated[Logging, Meta(description="What is logged.")] = Logging()
    reports: Annotated[
        tuple[ReportSubscriber, ...],
        Meta(max_length=16, description="Who gets the stream of report events, apart from filters."),
    ] = ()
    replicas: Annotated[Replicas, Meta(description="Number of pods; without meaning if autoscaling is set.")] = 2
    pods: Annotated[Pods, Meta(description="What pods are made of, and where they run.")] = Pods()
    autoscaling: Annotated[Autoscaling | None, Meta(description="Number of pods by load.")] = None
    disruption: Annotated[Disruption, Meta(description="What a drain of nodes may do.")] = Disruption()
    monitoring: Annotated[Monitoring, Meta(description="Objects for the Prometheus operator.")] = Monitoring()
    network_policy: Annotated[NetworkPolicy, Meta(description="Who may reach the pods.")] = NetworkPolicy()
    dns_check: Annotated[DnsCheck, Meta(description="How published records are looked up.")] = DnsCheck()


def _twins(spec: MailServiceSpec) -> list[int]:
    """Places of listeners whose address and port an earlier one has."""
    places = [(listener.address, listener.port) for listener in spec.listeners]
    return [place for place, one in enumerate(places) if one[1] is not None and one in places[:place]]


def _lost(spec: MailServiceSpec) -> list[int]:
    """Places of rules whose action is not there."""
    names = {action.name for action in spec.actions}
    return [place for place, rule in enumerate(spec.rules) if rule.action is not None and rule.action not in names]


class MailService(ApiValue, frozen=True, kw_only=True):
    """A pool of MTA pods with one queue.

    It says where mail comes in (listeners), what is done with it (rules, actions), how it is kept and sent, and how the
    pods run. MailDomains attach to it. A change of anything but ports, image and resources needs no new pods.
    """

    plural: ClassVar[str] = "mailservices"

    api_version: Literal["paquebot.dev/v1alpha1"]
    kind: Literal["MailService"]
    metadata: ObjectMeta
    spec: Annotated[MailServiceSpec, Meta(description="What is wanted.")]
    status: Status = None
