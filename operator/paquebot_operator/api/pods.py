"""The pods of a MailService: how many, from which image, where, with how much."""

from typing import Annotated, Literal

from msgspec import Meta, field

from paquebot_operator.api.common import NO_SPACE, LocalRef, ObjectName, Seconds
from paquebot_operator.api.quantities import (
    Annotations,
    LabelKey,
    Labels,
    LabelValue,
    Quantity,
    not_ours,
    quantity_value,
)
from paquebot_operator.api.validation import ApiValue, Rule


class Amounts(ApiValue, frozen=True, kw_only=True):
    """Amounts of what a node has."""

    cpu: Annotated[Quantity | None, Meta(description="Cores: 500m, 2.")] = None
    memory: Annotated[Quantity | None, Meta(description="Bytes: 512Mi, 2Gi.")] = None
    ephemeral_storage: Annotated[Quantity | None, Meta(description="Bytes on the node's own disk.")] = None


def _within(name: str, attribute: str) -> Rule:
    request, limit = f"self.requests.{name}", f"self.limits.{name}"

    def holds(resources: "Resources") -> bool:
        wanted, most = getattr(resources.requests, attribute), getattr(resources.limits, attribute)
        return wanted is None or most is None or quantity_value(wanted) <= quantity_value(most)

    return Rule(
        cel=f"!has({request}) || !has({limit}) || quantity({request}).compareTo(quantity({limit})) <= 0",
        message=f"requests.{name} must not be more than limits.{name}",
        holds=holds,
    )


class Resources(ApiValue, frozen=True, kw_only=True):
    """What a container asks for and may use at most."""

    validations = (
        _within("cpu", "cpu"),
        _within("memory", "memory"),
        _within("ephemeralStorage", "ephemeral_storage"),
    )

    requests: Annotated[Amounts, Meta(description="Kept free for it.")] = Amounts()
    limits: Annotated[Amounts, Meta(description="Never more.")] = Amounts()


class Toleration(ApiValue, frozen=True, kw_only=True):
    """A taint of nodes that pods bear."""

    validations = (
        Rule(
            cel="self.operator != 'Exists' || self.value == ''",
            message="value is for operator Equal",
            holds=lambda toleration: toleration.operator != "Exists" or not toleration.value,
        ),
        Rule(
            cel="has(self.key) || self.operator == 'Exists'",
            message="without key, operator must be Exists: it bears every taint",
            holds=lambda toleration: toleration.key is not None or toleration.operator == "Exists",
        ),
        Rule(
            cel="!has(self.tolerationSeconds) || (has(self.effect) && self.effect == 'NoExecute')",
            message="tolerationSeconds needs effect NoExecute",
            holds=lambda toleration: toleration.toleration_seconds is None or toleration.effect == "NoExecute",
        ),
    )

    key: Annotated[LabelKey | None, Meta(description="Key of the taint; all if left out.")] = None
    operator: Annotated[Literal["Exists", "Equal"], Meta(description="How the value is compared.")] = "Equal"
    value: Annotated[LabelValue, Meta(description="Value of the taint, for Equal.")] = ""
    effect: Annotated[
        Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None, Meta(description="Effect; all if left out.")
    ] = None
    toleration_seconds: Annotated[
        Annotated[int, Meta(ge=0, le=31_536_000)] | None,
        Meta(description="How long NoExecute is borne; for ever if left out."),
    ] = None


class Spread(ApiValue, frozen=True, kw_only=True):
    """How pods are kept apart."""

    mode: Annotated[
        Literal["Preferred", "Required", "Disabled"],
        Meta(description="Preferred: if it can be. Required: or the pod waits. Disabled: anywhere."),
    ] = "Preferred"
    topology_key: Annotated[LabelKey, Meta(description="Label of nodes; pods are spread over its values.")] = (
        "kubernetes.io/hostname"
    )


class Pods(ApiValue, frozen=True, kw_only=True):
    """What each pod is made of, and where it runs."""

    validations = (not_ours("labels"),)

    image: Annotated[
        Annotated[str, Meta(min_length=1, max_length=512, pattern=NO_SPACE)] | None,
        Meta(description="Image of the MTA; the operator's own if left out."),
    ] = None
    image_pull_policy: Annotated[
        Literal["Always", "IfNotPresent", "Never"] | None, Meta(description="When it is pulled; Kubernetes' default.")
    ] = None
    image_pull_secrets: Annotated[tuple[LocalRef, ...], Meta(max_length=8, description="Secrets to pull with.")] = ()
    workers: Annotated[int, Meta(ge=1, le=64, description="Processes in a pod, each with a core's worth of work.")] = 1
    resources: Annotated[Resources, Meta(description="CPU, memory and disk.")] = Resources()
    node_selector: Annotated[Labels, Meta(description="Labels that nodes must have.")] = field(default_factory=dict)
    tolerations: Annotated[tuple[Toleration, ...], Meta(max_length=16, description="Taints that are borne.")] = ()
    spread: Annotated[Spread, Meta(description="How pods are kept apart.")] = Spread()
    priority_class_name: Annotated[ObjectName | None, Meta(description="PriorityClass of the pods.")] = None
    labels: Annotated[Labels, Meta(description="More labels of the pods.")] = field(default_factory=dict)
    annotations: Annotated[Annotations, Meta(description="More annotations of the pods.")] = field(default_factory=dict)
    service_account_annotations: Annotated[
        Annotations, Meta(description="Annotations of the pods' ServiceAccount, which has no token.")
    ] = field(default_factory=dict)
    termination_grace_period_seconds: Annotated[
        Seconds, Meta(description="Time to finish sessions and deliveries before the pod is killed.")
    ] = 60
