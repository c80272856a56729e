"""DKIM of a MailDomain: which keys there are and who makes them."""

from typing import Annotated, Literal

from msgspec import Meta

from paquebot_operator.api.common import DataKey, Label, ObjectName
from paquebot_operator.api.validation import ApiValue, Rule


class PrivateKeyRef(ApiValue, frozen=True, kw_only=True):
    """A private key (PEM) in a Secret of the same namespace."""

    name: Annotated[ObjectName, Meta(description="Name of the Secret.")]
    key: Annotated[DataKey, Meta(description="Key under data.")] = "private.key"


class DkimRotation(ApiValue, frozen=True, kw_only=True):
    """When a managed key gives way to the next one."""

    mode: Annotated[
        Literal["Disabled", "Scheduled"],
        Meta(description="Scheduled: a new key is made, and used once its record is found."),
    ] = "Disabled"
    interval_seconds: Annotated[int, Meta(ge=86_400, le=63_072_000, description="Life of a key.")] = 7_776_000
    overlap_seconds: Annotated[
        int, Meta(ge=3_600, le=7_776_000, description="How long the record of an old key stays to be published.")
    ] = 604_800


class Dkim(ApiValue, frozen=True, kw_only=True):
    """Signatures of a domain's mail (RFC 6376)."""

    validations = (
        Rule(
            cel="(self.mode == 'Secret') == has(self.secretRef)",
            message="secretRef is needed for, and only for, mode Secret",
            holds=lambda dkim: (dkim.mode == "Secret") == (dkim.secret_ref is not None),
        ),
        Rule(
            cel="self.mode != 'Secret' || has(self.selector)",
            message="mode Secret needs selector: the name that the key is published under",
            holds=lambda dkim: dkim.mode != "Secret" or dkim.selector is not None,
        ),
        Rule(
            cel="self.rotation.mode == 'Disabled' || self.mode == 'Managed'",
            message="rotation needs mode Managed",
            holds=lambda dkim: dkim.rotation.mode == "Disabled" or dkim.mode == "Managed",
        ),
    )

    mode: Annotated[
        Literal["Disabled", "Managed", "Secret"],
        Meta(description="Managed: keys are made, in the Secret NAME-dkim. Secret: an existing key is used."),
    ] = "Disabled"
    selector: Annotated[
        Label | None, Meta(description="Selector (RFC 6376, 3.1); of managed keys made from the date if left out.")
    ] = None
    algorithm: Annotated[
        Literal["RSA2048", "Ed25519"],
        Meta(description="Of managed keys; Ed25519 (RFC 8463) is shorter, but not verified everywhere."),
    ] = "RSA2048"
    secret_ref: Annotated[PrivateKeyRef | None, Meta(description="An existing key.")] = None
    rotation: Annotated[DkimRotation, Meta(description="When keys change.")] = DkimRotation()
