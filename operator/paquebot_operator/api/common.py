"""What all kinds share: bounded texts, references, metadata, conditions."""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

from paquebot_operator.api.validation import ApiValue

API_VERSION = "paquebot.dev/v1alpha1"

# Patterns are written for two engines: Python's, whose $ also matches before a last line end (validation.violations
# refuses control characters in every text for that reason), and RE2 on the API server, which knows no \u and repeats at
# most 1,000 times. So they hold literal characters instead of \u, and leave long lengths to max_length.
NO_CONTROL = r"^[^\x00-\x1f\x7f-\x9f" + "\u2028\u2029]*$"
NO_SPACE = r"^[^\x00-\x20\x7f-\x9f" + "\u2028\u2029]*$"

# RFC 1123 names as Kubernetes has them.
ObjectName = Annotated[str, Meta(min_length=1, max_length=253, pattern=r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$")]
Namespace = Annotated[str, Meta(min_length=1, max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")]
Label = Annotated[str, Meta(min_length=1, max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")]
DataKey = Annotated[str, Meta(min_length=1, max_length=253, pattern=r"^[-._a-zA-Z0-9]+$")]
Hostname = Annotated[str, Meta(min_length=1, max_length=253, pattern=NO_SPACE)]
Line = Annotated[str, Meta(max_length=1024, pattern=NO_CONTROL)]
Text = Annotated[str, Meta(min_length=1, max_length=1024, pattern=NO_CONTROL)]
Path = Annotated[str, Meta(min_length=1, max_length=1024, pattern=NO_CONTROL)]
Network = Annotated[str, Meta(min_length=2, max_length=64, pattern=r"^[0-9A-Fa-f:.]{2,45}(/[0-9]{1,3})?$")]
Port = Annotated[int, Meta(ge=1, le=65535)]
Count = Annotated[int, Meta(ge=1, le=1_000_000)]
Seconds = Annotated[int, Meta(ge=1, le=31_536_000)]
Generation = Annotated[int, Meta(ge=0, le=9_007_199_254_740_991)]  # what a double holds: bounds are doubles in a CRD
TimeoutMilliseconds = Annotated[int, Meta(ge=1, le=3_600_000)]


class LocalRef(ApiValue, frozen=True, kw_only=True):
    """An object in the same namespace."""

    name: Annotated[ObjectName, Meta(description="Name of the object.")]


FilterRefs = Annotated[tuple[LocalRef, ...], Meta(max_length=32)]


class KeyRef(ApiValue, frozen=True, kw_only=True):
    """One key of a ConfigMap or Secret in the same namespace."""

    name: Annotated[ObjectName, Meta(description="Name of the ConfigMap or Secret.")]
    key: Annotated[DataKey, Meta(description="Key under data.")] = "table"


class BundleRef(ApiValue, frozen=True, kw_only=True):
    """Certificates of authorities (PEM) in a Secret or ConfigMap of the same namespace."""

    kind: Annotated[Literal["Secret", "ConfigMap"], Meta(description="Kind of the object.")] = "Secret"
    name: Annotated[ObjectName, Meta(description="Name of the object.")]
    key: Annotated[DataKey, Meta(description="Key under data.")] = "ca.crt"


class ServiceRef(ApiValue, frozen=True, kw_only=True):
    """The MailService that a domain attaches to; in another namespace only if that service allows it."""

    name: Annotated[ObjectName, Meta(description="Name of the MailService.")]
    namespace: Annotated[Namespace | None, Meta(description="Its namespace; the MailDomain's own if left out.")] = None


class ObjectMeta(Struct, frozen=True, kw_only=True, rename="camel"):
    """The part of an object's metadata that is read; everything else in it is the API server's."""

    name: ObjectName
    namespace: Namespace = "default"
    uid: Annotated[str, Meta(max_length=128)] = ""
    generation: Annotated[int, Meta(ge=0)] = 0
    creation_timestamp: Annotated[str, Meta(max_length=64)] = ""
    annotations: Annotated[dict[str, str], Meta(max_length=1024)] = field(default_factory=dict)
    labels: Annotated[dict[str, str], Meta(max_length=1024)] = field(default_factory=dict)


ConditionType = Literal["Accepted", "ResolvedRefs", "Programmed", "Ready", "DNSReady", "DKIMReady", "ClientIPPreserved"]


class Condition(ApiValue, frozen=True, kw_only=True):
    """One condition in a status, as the API conventions have it."""

    type: Annotated[ConditionType, Meta(description="What is said.")]
    status: Annotated[Literal["True", "False", "Unknown"], Meta(description="Whether it holds.")]
    reason: Annotated[
        str, Meta(min_length=1, max_length=128, pattern=r"^[A-Z][A-Za-z0-9]{0,127}$", description="CamelCase, stable.")
    ]
    message: Annotated[str, Meta(max_length=32768, description="What to know and what to do.")] = ""
    observed_generation: Annotated[Generation, Meta(description="Generation that was judged.")] = 0
    last_transition_time: Annotated[str, Meta(max_length=64, description="When status last changed, RFC 3339.")] = ""


# Read as it comes: a status of another version of the operator must not make an object unreadable. What this version
# writes, and what the CRDs say of it, stands in paquebot_operator.api.status.
Status = dict[str, Any] | None
