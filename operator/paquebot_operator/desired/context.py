"""What the cluster and the operator add to a MailService's own wishes."""

from dataclasses import dataclass

from paquebot_operator.api.pods import Resources

RUNBOOKS = "https://paquebot.dev/docs/runbooks"


@dataclass(frozen=True)
class Egress:
    """Where pods must be able to send, beside the usual ports of mail.

    Attributes:
        ports: TCP ports, anywhere; sorted.
        namespaces: of Services that mail is handed to; sorted. A policy sees the port of the pod behind a Service, not
            the Service's, so these are allowed as a whole.
    """

    ports: tuple[int, ...] = ()
    namespaces: tuple[str, ...] = ()


@dataclass(frozen=True)
class Program:
    """A filter program: ``name`` is ``NAMESPACE/NAME`` of its MailFilter; ``network``: whether it has the pod's."""

    name: str
    image: str
    command: tuple[str, ...]
    resources: Resources
    network: bool = False


@dataclass(frozen=True)
class Context:
    """What desired objects depend on beside the MailService.

    Attributes:
        image: of the MTA, unless the MailService names one.
        operator_namespace: from where acknowledgements are read.
        egress: where the configuration in force sends to (``egress_of``).
        programs: filters that it asks (``programs_of``).
        has_pod_monitors, has_prometheus_rules: whether the cluster has these kinds of the Prometheus operator.
        runbooks: URL of the pages that alerts lead to.
    """

    image: str
    operator_namespace: str
    egress: Egress = Egress()
    programs: tuple[Program, ...] = ()
    has_pod_monitors: bool = False
    has_prometheus_rules: bool = False
    runbooks: str = RUNBOOKS
