"""Statuses: what the operator writes. Bounded like everything else, so that a status can't outgrow its object."""

from typing import Annotated, Literal

from msgspec import Meta

from paquebot_operator.api.common import Condition, Generation
from paquebot_operator.api.validation import ApiValue

MAX_PODS = 100
MAX_RECORDS = 32
Number = Annotated[int, Meta(ge=0, le=2_147_483_647)]
Short = Annotated[str, Meta(max_length=253)]
RecordName = Annotated[str, Meta(max_length=512)]
"""A domain of 253 characters, and what a purpose puts before it: a selector of 63 and ``_domainkey``."""
Conditions = Annotated[
    tuple[Condition, ...],
    Meta(
        max_length=16,
        description="What holds, by type.",
        extra_json_schema={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    ),
]
Observed = Annotated[Generation, Meta(description="Generation of the spec that was judged.")]


class DomainCounts(ApiValue, frozen=True, kw_only=True):
    """MailDomains of a service."""

    total: Annotated[Number, Meta(description="That name it.")] = 0
    accepted: Annotated[Number, Meta(description="That it accepts.")] = 0
    programmed: Annotated[Number, Meta(description="That all ready pods serve.")] = 0


class PodState(ApiValue, frozen=True, kw_only=True):
    """One pod, as it tells itself."""

    name: Annotated[Short, Meta(description="Name of the pod.")]
    node: Annotated[Short, Meta(description="Node that it runs on.")] = ""
    ready: Annotated[bool, Meta(description="Whether it takes mail.")] = False
    digest: Annotated[Short, Meta(description="Configuration in force.")] = ""
    generation: Annotated[Generation, Meta(description="Generation of the service in it.")] = 0
    rejected: Annotated[Short, Meta(description="Digest of a newer configuration that it refused; else empty.")] = ""
    rejected_reason: Annotated[str, Meta(max_length=1024, description="Where and why.")] = ""


class MailServiceStatus(ApiValue, frozen=True, kw_only=True):
    """State of a MailService."""

    observed_generation: Observed = 0
    conditions: Conditions = ()
    replicas: Annotated[Number, Meta(description="Pods that there are.")] = 0
    ready_replicas: Annotated[Number, Meta(description="Pods that take mail.")] = 0
    selector: Annotated[str, Meta(max_length=1024, description="Label selector of the pods, as text.")] = ""
    config_digest: Annotated[Short, Meta(description="Configuration that pods should run.")] = ""
    config_generation: Annotated[Generation, Meta(description="Generation of the service in it.")] = 0
    domains: Annotated[DomainCounts, Meta(description="MailDomains.")] = DomainCounts()
    pods: Annotated[tuple[PodState, ...], Meta(max_length=MAX_PODS, description="Pods, the first hundred.")] = ()


class DnsRecord(ApiValue, frozen=True, kw_only=True):
    """A record to publish, and what was found."""

    name: Annotated[RecordName, Meta(description="Owner name.")]
    type: Annotated[Literal["MX", "TXT", "CNAME", "A", "AAAA"], Meta(description="Type.")]
    value: Annotated[str, Meta(max_length=4096, description="Exact text to publish.")]
    present: Annotated[
        Literal["Present", "Missing", "Different", "Unknown"], Meta(description="What a lookup found.")
    ] = "Unknown"
    found: Annotated[str, Meta(max_length=4096, description="What is there, if it is Different.")] = ""


class MailDomainStatus(ApiValue, frozen=True, kw_only=True):
    """State of a MailDomain."""

    observed_generation: Observed = 0
    conditions: Conditions = ()
    programmed_pods: Annotated[str, Meta(max_length=16, description="Pods that serve it, of those ready: 3/3.")] = ""
    programmed_revision: Annotated[Short, Meta(description="Hash of its compiled entry that they serve.")] = ""
    dns_records: Annotated[
        tuple[DnsRecord, ...], Meta(max_length=MAX_RECORDS, description="What to publish, and what is published.")
    ] = ()
    mta_sts_policy: Annotated[
        str,
        Meta(
            max_length=8192,
            description="Text to serve as https://mta-sts.DOMAIN/.well-known/mta-sts.txt; empty if MTA-STS is off.",
        ),
    ] = ""


class ObjectStatus(ApiValue, frozen=True, kw_only=True):
    """State of a Table or MailFilter."""

    observed_generation: Observed = 0
    conditions: Conditions = ()
