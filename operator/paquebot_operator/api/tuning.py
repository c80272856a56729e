"""Limits, queue, DNS and logging of a MailService; the defaults are the reference's and need no change."""

from typing import Annotated, Literal

from msgspec import Meta

from paquebot_operator.api.common import NO_CONTROL, Count, DataKey, KeyRef, ObjectName, Seconds, Text
from paquebot_operator.api.quantities import Quantity
from paquebot_operator.api.validation import ApiValue, Rule, immutable, transition


class Retry(ApiValue, frozen=True, kw_only=True):
    """Back-off: the n-th retry is due at creation + base * n²."""

    base_seconds: Annotated[Seconds, Meta(description="Base for remote delivery.")] = 400
    local_base_seconds: Annotated[Seconds, Meta(description="Base for local delivery and bounces.")] = 10


DEFAULT_QUEUE_SIZE = "10Gi"


def _size(of: str) -> str:
    return f"(has({of}.size) ? quantity({of}.size) : quantity('{DEFAULT_QUEUE_SIZE}'))"


def _same(name: str) -> str:
    return f"has(self.{name}) == has(oldSelf.{name}) && (!has(self.{name}) || self.{name} == oldSelf.{name})"


# CEL's optional values (orValue) would be shorter; their cost is estimated without bounds.
_KEPT = transition(
    (f"{_size('self')}.compareTo({_size('oldSelf')}) >= 0", "size can't be less than before: a volume never shrinks"),
    (
        f"self.mode != 'PerPod' || {_size('self')}.compareTo({_size('oldSelf')}) == 0",
        "size can't be changed with mode PerPod: a StatefulSet keeps its claims; grow the claims themselves",
    ),
    (
        f"{_same('claimName')} && {_same('storageClassName')}",
        "claimName and storageClassName can't be changed: mail waits on the volume; make another MailService",
    ),
)


class QueueStorage(ApiValue, frozen=True, kw_only=True):
    """The queue's volume. Shared is one for all pods (ReadWriteMany); PerPod is one for each (ReadWriteOnce)."""

    validations = (
        Rule(
            cel="!has(self.claimName) || (!has(self.size) && !has(self.storageClassName))",
            message="claimName names a volume that is there: leave out size and storageClassName",
            holds=lambda storage: (
                storage.claim_name is None or (storage.size is None and storage.storage_class_name is None)
            ),
        ),
        Rule(
            cel="!has(self.claimName) || self.mode == 'Shared'",
            message="claimName needs mode Shared: pods with volumes of their own have one claim each",
            holds=lambda storage: storage.claim_name is None or storage.mode == "Shared",
        ),
    )

    mode: Annotated[
        Literal["Shared", "PerPod"],
        Meta(
            description="Shared: any pod takes over another's mail. PerPod: where no ReadWriteMany volume can be had.",
            extra_json_schema=immutable("mode can't be changed: mail waits on the volumes; make another MailService"),
        ),
    ] = "Shared"
    claim_name: Annotated[
        ObjectName | None, Meta(description="A PersistentVolumeClaim that is there, instead of one that is made.")
    ] = None
    size: Annotated[Quantity | None, Meta(description="Size of a volume that is made; 10Gi if left out.")] = None
    storage_class_name: Annotated[
        ObjectName | None, Meta(description="StorageClass of a volume that is made; the cluster's default.")
    ] = None

    @property
    def wanted_size(self) -> str:
        """Size of a volume that is made, in force."""
        return self.size or DEFAULT_QUEUE_SIZE


class KeyRingRef(KeyRef, frozen=True, kw_only=True):
    """Where the queue's key ring is: in a Secret of the same namespace."""

    name: Annotated[ObjectName, Meta(description="Name of the Secret.")]
    key: Annotated[DataKey, Meta(description="Key under data.")] = "keyRing"


class Queue(ApiValue, frozen=True, kw_only=True):
    """The spool."""

    backend: Annotated[
        Literal["Journal", "Memory", "Null"],
        Meta(description="Journal keeps mail on the volume; Memory and Null lose it by design, for tests."),
    ] = "Journal"
    ttl_seconds: Annotated[Seconds, Meta(description="Life of an undelivered message.")] = 345_600
    retry: Annotated[Retry, Meta(description="When it is tried again.")] = Retry()
    warn_after_seconds: Annotated[
        tuple[Seconds, ...], Meta(max_length=4, description="Ages at which the sender is told of the delay.")
    ] = (14_400,)
    minimum_free_percent: Annotated[
        int, Meta(ge=0, le=90, description="Below this share of free space new mail is answered 452.")
    ] = 5
    lease_seconds: Annotated[
        int,
        Meta(ge=1, le=3_600, description="A pod silent for 1.5 times as long loses its mail to the others."),
    ] = 8
    grave_seconds: Annotated[
        int, Meta(ge=0, le=2_592_000, description="How long an emptied directory of a dead pod is kept.")
    ] = 86_400
    compression: Annotated[
        Literal["None", "Zstd", "Gzip"], Meta(description="How mail is compressed before it is kept.")
    ] = "None"
    key_ring_ref: Annotated[
        KeyRingRef | None,
        Meta(description="Secret with the key ring that mail is encrypted by (docs/durability.md)."),
    ] = None
    storage: Annotated[QueueStorage, Meta(description="Where it is kept, in a cluster.", extra_json_schema=_KEPT)] = (
        QueueStorage()
    )


Rate = Annotated[int, Meta(ge=0, le=10_000_000)]


class Rates(ApiValue, frozen=True, kw_only=True):
    """How often, by client address (an IPv6 client is its /64) and by user; 0 is no limit. Each worker counts alone."""

    max_sessions_per_minute: Annotated[Rate, Meta(description="Connections of a client.")] = 0
    max_messages_per_minute: Annotated[Rate, Meta(description="Messages of a client.")] = 0
    max_recipients_per_minute: Annotated[Rate, Meta(description="Recipients named by a client.")] = 0
    max_auths_per_minute: Annotated[Rate, Meta(description="AUTH commands of a client.")] = 0
    max_handshakes_per_minute: Annotated[Rate, Meta(description="TLS handshakes of a client.")] = 0
    max_auth_failures_per_minute: Annotated[
        Rate, Meta(description="Failed AUTH of a client in all its sessions; then it is answered 421 for a while.")
    ] = 20
    max_user_messages_per_hour: Annotated[Rate, Meta(description="Messages of an authenticated user.")] = 0
    max_user_recipients_per_hour: Annotated[Rate, Meta(description="Recipients of an authenticated user.")] = 0


class Limits(ApiValue, frozen=True, kw_only=True):
    """What one client may use up."""

    max_sessions: Annotated[Count, Meta(description="Sessions in a worker.")] = 1_000
    max_sessions_per_client: Annotated[
        Count, Meta(description="Sessions of a client: of an address or, in IPv6, a /64; each worker counts alone.")
    ] = 50
    max_sessions_per_network: Annotated[
        int, Meta(ge=0, le=1_000_000, description="Sessions of a /24 or, in IPv6, a /48; 0 is no limit.")
    ] = 0
    max_message_bytes: Annotated[
        int, Meta(ge=65_536, le=2_147_483_648, description="Size of a message (SIZE, RFC 1870).")
    ] = 36_700_160
    max_messages_per_session: Annotated[Count, Meta(description="Messages in a session.")] = 100
    max_recipients: Annotated[
        int, Meta(ge=100, le=100_000, description="Recipients of a message; at least 100 (RFC 5321, 4.5.3.1.8).")
    ] = 1_000
    max_errors: Annotated[Count, Meta(description="Refused commands in a session.")] = 20
    max_junk_commands: Annotated[Count, Meta(description="Commands that do nothing.")] = 100
    max_auth_failures: Annotated[Count, Meta(description="Failed AUTH in a session.")] = 3
    max_received_headers: Annotated[
        int, Meta(ge=10, le=1_000, description="Received fields before a loop is assumed.")
    ] = 50
    max_header_bytes: Annotated[int, Meta(ge=16_384, le=16_777_216, description="Size of the header section.")] = (
        262_144
    )
    command_timeout_seconds: Annotated[Seconds, Meta(description="Wait for a whole command line.")] = 300
    data_timeout_seconds: Annotated[Seconds, Meta(description="Wait for a block of data.")] = 180
    min_data_bytes_per_second: Annotated[
        int, Meta(ge=0, le=1_000_000_000, description="Slower senders are disconnected; 0 is off.")
    ] = 100
    session_timeout_seconds: Annotated[Seconds, Meta(description="Life of a session.")] = 3_600
    handshake_timeout_seconds: Annotated[Seconds, Meta(description="TLS handshake.")] = 30
    stress_sessions_percent: Annotated[
        int,
        Meta(ge=0, le=100, description="Part of maxSessions from which clients are waited for a short time; 0 is off."),
    ] = 90
    stress_timeout_seconds: Annotated[Seconds, Meta(description="How long then, or if time or memory is short.")] = 10
    rates: Annotated[Rates, Meta(description="How often a client or user may do something.")] = Rates()


class Resolver(ApiValue, frozen=True, kw_only=True):
    """DNS."""

    servers: Annotated[
        tuple[Text, ...], Meta(max_length=8, description="address, address:port or [IPv6]:port; else resolv.conf.")
    ] = ()
    timeout_milliseconds: Annotated[int, Meta(ge=100, le=60_000, description="Wait for an answer.")] = 5_000
    max_cache_entries: Annotated[int, Meta(ge=0, le=10_000_000, description="Answers kept.")] = 10_000


class Bounce(ApiValue, frozen=True, kw_only=True):
    """Notifications to senders."""

    from_: Annotated[
        str,
        Meta(
            min_length=1, max_length=320, pattern=NO_CONTROL, description="Author in From: a local-part or an address."
        ),
    ] = "MAILER-DAEMON"
    attach: Annotated[Literal["Headers", "Full"], Meta(description="How much of the returned message is attached.")] = (
        "Headers"
    )


class Logging(ApiValue, frozen=True, kw_only=True):
    """What is logged."""

    level: Annotated[Literal["Debug", "Info", "Warning", "Error"], Meta(description="Least severity.")] = "Info"
    personal_data: Annotated[Literal["Full", "Pseudonym", "Minimal"], Meta(description="How addresses are shown.")] = (
        "Pseudonym"
    )
    pseudonym_key_ref: Annotated[KeyRef | None, Meta(description="Secret key that keys the pseudonyms.")] = None
