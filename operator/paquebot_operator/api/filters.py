"""Filters outside the MTA: programs, and services that are asked over the network."""

from typing import Annotated, Literal

from msgspec import Meta

from paquebot_operator.api.common import (
    NO_SPACE,
    DataKey,
    Hostname,
    LocalRef,
    Network,
    ObjectName,
    Seconds,
    Text,
    TimeoutMilliseconds,
)
from paquebot_operator.api.decisions import FilterAction
from paquebot_operator.api.matches import Reject
from paquebot_operator.api.pods import Resources
from paquebot_operator.api.signing import PrivateKeyRef
from paquebot_operator.api.validation import ApiValue, Rule

OnFailure = Annotated[
    Literal["TempFail", "Proceed", "Reject"],
    Meta(description="What its phases become while it is dead, late or says nonsense."),
]
Timeout = Annotated[TimeoutMilliseconds, Meta(description="Wait for an answer.")]
SecretTextRef = PrivateKeyRef


class PasswordRef(ApiValue, frozen=True, kw_only=True):
    """A password in a Secret of the same namespace."""

    name: Annotated[ObjectName, Meta(description="Name of the Secret.")]
    key: Annotated[DataKey, Meta(description="Key under data.")] = "password"


class Process(ApiValue, frozen=True, kw_only=True):
    """A program that speaks OpenSMTPD's filter protocol: a container of its own, or a child in a local run."""

    validations = (
        Rule(
            # The bridge starts the program, and nothing in a cluster knows what an image would start by itself.
            cel="self.command.size() > 0",
            message="set command, the program and its arguments (in the image: as its ENTRYPOINT and CMD say)",
            holds=lambda process: bool(process.command),
        ),
    )

    command: Annotated[
        tuple[Text, ...],
        Meta(max_length=32, description="Program and arguments: in the image, or of this machine in a local run."),
    ] = ()
    image: Annotated[
        Annotated[str, Meta(min_length=1, max_length=512, pattern=NO_SPACE)] | None,
        Meta(description="Image of its container; needed in a cluster. Its own entry point is not used."),
    ] = None
    resources: Annotated[Resources, Meta(description="CPU, memory and disk of its container.")] = Resources()
    network: Annotated[
        bool, Meta(description="Let its container use the pod's network; otherwise it has unix sockets alone.")
    ] = False
    protocol: Annotated[Literal["0.4", "0.5", "0.6", "0.7"], Meta(description="Highest version to speak with it.")] = (
        "0.7"
    )
    see_credentials: Annotated[bool, Meta(description="Give it the arguments of AUTH unmasked.")] = False
    timeout_milliseconds: Timeout = 30_000
    on_failure: OnFailure = "TempFail"


class Rspamd(ApiValue, frozen=True, kw_only=True):
    """rspamd, asked over HTTP once a message."""

    url: Annotated[str, Meta(max_length=1024, pattern=r"^https?://[!-~]+$", description="Its normal or proxy worker.")]
    password_ref: Annotated[SecretTextRef | None, Meta(description="Password, a key of a Secret.")] = None
    max_bytes: Annotated[int, Meta(ge=1_024, le=2_147_483_648, description="Longer messages are not checked.")] = (
        10_485_760
    )
    reject: Annotated[bool, Meta(description="Its reject refuses; otherwise it is junk.")] = True
    headers: Annotated[bool, Meta(description="Add X-Spam fields.")] = True
    timeout_milliseconds: Timeout = 15_000
    on_failure: OnFailure = "TempFail"


class DnsList(ApiValue, frozen=True, kw_only=True):
    """A DNS list (RFC 5782)."""

    zone: Annotated[Hostname, Meta(description="Zone of the list.")]
    codes: Annotated[tuple[Network, ...], Meta(max_length=32, description="Answers that count; any if empty.")] = ()
    weight: Annotated[int, Meta(ge=-1_000, le=1_000, description="Weight; below 0 for a list of good ones.")] = 1


class Dnsbl(ApiValue, frozen=True, kw_only=True):
    """Lists of client addresses."""

    lists: Annotated[tuple[DnsList, ...], Meta(min_length=1, max_length=32, description="Lists that are asked.")]
    threshold: Annotated[int, Meta(ge=1, le=32_000, description="Sum of weights from which the action is done.")] = 1
    phase: Annotated[
        Literal["Connect", "Helo", "MailFrom", "RcptTo"], Meta(description="Step of the session at which it is done.")
    ] = "Connect"
    action: Annotated[FilterAction, Meta(description="What is done with a client that is listed.")] = FilterAction(
        reject=Reject(text="Your address is listed")
    )
    timeout_milliseconds: Timeout = 5_000
    on_failure: OnFailure = "Proceed"


_Score = Annotated[int, Meta(ge=-1, le=100)]


class SenderScore(ApiValue, frozen=True, kw_only=True):
    """A reputation of client addresses from 0 to 100, asked by DNS."""

    zone: Annotated[Hostname, Meta(description="Zone that is asked.")] = "score.senderscore.com"
    block_below: Annotated[_Score, Meta(description="Lower scores are refused; -1 is off.")] = -1
    block_phase: Annotated[
        Literal["Connect", "Helo", "Ehlo", "StartTLS", "Auth", "MailFrom", "RcptTo"], Meta(description="And where.")
    ] = "Connect"
    junk_below: Annotated[_Score, Meta(description="Lower scores are junk; -1 is off.")] = -1
    slow_factor_milliseconds: Annotated[
        int,
        Meta(ge=0, le=60_000, description="Delay of each phase for score 0; none for 100."),
    ] = 0
    header: Annotated[bool, Meta(description="Add X-SenderScore.")] = False
    timeout_milliseconds: Timeout = 5_000


class Greylist(ApiValue, frozen=True, kw_only=True):
    """Strangers come again (RFC 6647)."""

    validations = (
        Rule(
            cel="self.delaySeconds < self.retrySeconds",
            message="delaySeconds must be less than retrySeconds",
            holds=lambda greylist: greylist.delay_seconds < greylist.retry_seconds,
        ),
        Rule(
            cel="!has(self.passwordRef) || self.store.startsWith('redis')",
            message="passwordRef is for a store in Redis: leave it out, or set store: redis://HOST:PORT/DB",
            holds=lambda greylist: greylist.password_ref is None or greylist.store.startswith("redis"),
        ),
    )

    store: Annotated[
        str,
        Meta(
            max_length=1024,
            pattern=r"^(volume|memory|sqlite:/[!-~]+|rediss?://[!-~]+)$",
            description="volume (a file beside the queue), memory (of each worker process), sqlite:/PATH, "
            "redis://[USER@]HOST:PORT/DB or rediss:// (TLS).",
        ),
    ] = "volume"
    password_ref: Annotated[
        PasswordRef | None, Meta(description="Password of Redis, a key of a Secret, rather than in store.")
    ] = None
    delay_seconds: Annotated[Seconds, Meta(description="Too early before.")] = 300
    retry_seconds: Annotated[Seconds, Meta(description="Too late after.")] = 172_800
    pass_seconds: Annotated[Seconds, Meta(description="Known for so long.")] = 3_110_400
    spf: Annotated[bool, Meta(description="Know by domain where the client passes SPF for it.")] = True
    allow_ref: Annotated[LocalRef | None, Meta(description="Table (service netaddr) of clients never asked.")] = None
    on_failure: OnFailure = "Proceed"


class Milter(ApiValue, frozen=True, kw_only=True):
    """Sendmail's mail filter protocol, version 6."""

    address: Annotated[Text, Meta(description="host:port, [IPv6 address]:port or unix:/path.")]
    timeout_milliseconds: Timeout = 30_000
    on_failure: OnFailure = "TempFail"
