"""Listeners of a MailService: where and how sessions come in."""

from typing import Annotated, Literal

from msgspec import Meta

from paquebot_operator.api.common import BundleRef, FilterRefs, Hostname, Label, Line, LocalRef, Network, Port, Text
from paquebot_operator.api.exposure import ListenerService
from paquebot_operator.api.validation import ApiValue, Rule


class ServerTls(ApiValue, frozen=True, kw_only=True):
    """TLS of a listener."""

    validations = (
        Rule(
            cel="(self.mode == 'Disabled') == (self.certificateRefs.size() == 0)",
            message="certificateRefs are needed for, and only for, mode StartTLS or Implicit",
            holds=lambda tls: (tls.mode == "Disabled") == (not tls.certificate_refs),
        ),
        Rule(
            cel="self.mode != 'Disabled' || !self.required",
            message="required needs mode StartTLS or Implicit",
            holds=lambda tls: tls.mode != "Disabled" or not tls.required,
        ),
        Rule(
            cel="(self.verifyClient == 'Never') == !has(self.clientCaRef)",
            message="verifyClient and clientCaRef need each other",
            holds=lambda tls: (tls.verify_client == "Never") == (tls.client_ca_ref is None),
        ),
    )

    mode: Annotated[
        Literal["Disabled", "StartTLS", "Implicit"],
        Meta(description="None, after EHLO, or from the first byte."),
    ] = "Disabled"
    required: Annotated[bool, Meta(description="Refuse mail without TLS.")] = False
    certificate_refs: Annotated[
        tuple[LocalRef, ...],
        Meta(max_length=64, description="Secrets of type kubernetes.io/tls; the first is the default, others by SNI."),
    ] = ()
    minimum_version: Annotated[Literal["TLSv1.2", "TLSv1.3"], Meta(description="Lowest version that is spoken.")] = (
        "TLSv1.2"
    )
    ciphers: Annotated[
        str, Meta(max_length=1024, pattern=r"^[-A-Za-z0-9:+!@_=.]*$", description="OpenSSL list for TLS 1.2.")
    ] = ""
    verify_client: Annotated[
        Literal["Never", "Optional", "Required"], Meta(description="Whether to ask for client certificates.")
    ] = "Never"
    client_ca_ref: Annotated[BundleRef | None, Meta(description="Authorities that sign them.")] = None


class ServerAuth(ApiValue, frozen=True, kw_only=True):
    """AUTH of a listener (RFC 4954)."""

    validations = (
        Rule(
            cel="(self.mode == 'Disabled') == !has(self.credentialsRef)",
            message="credentialsRef is needed for, and only for, mode Optional or Required",
            holds=lambda auth: (auth.mode == "Disabled") == (auth.credentials_ref is None),
        ),
        Rule(
            cel="!self.masquerade || self.mode != 'Disabled'",
            message="masquerade needs mode Optional or Required",
            holds=lambda auth: not auth.masquerade or auth.mode != "Disabled",
        ),
    )

    mode: Annotated[
        Literal["Disabled", "Optional", "Required"], Meta(description="Required refuses mail until authenticated.")
    ] = "Disabled"
    credentials_ref: Annotated[
        LocalRef | None, Meta(description="Table with service credentials: user to password hash.")
    ] = None
    senders_ref: Annotated[
        LocalRef | None,
        Meta(description="Table with service mailaddrmap: user to addresses that the user may send as."),
    ] = None
    masquerade: Annotated[
        bool, Meta(description="Write the envelope's sender into From of what users submit; their display name stays.")
    ] = False


class ProxyProtocol(ApiValue, frozen=True, kw_only=True):
    """PROXY protocol, version 1 or 2, in front of each session."""

    trusted: Annotated[
        tuple[Network, ...],
        Meta(min_length=1, max_length=64, description="Networks (CIDR) of proxies; others are disconnected."),
    ]


class Listener(ApiValue, frozen=True, kw_only=True):
    """One place to listen."""

    validations = (
        Rule(
            cel="!has(self.proxyProtocol) || !self.address.startsWith('unix:')",
            message="proxyProtocol needs an IP address to listen on",
            holds=lambda listener: listener.proxy_protocol is None or not listener.address.startswith("unix:"),
        ),
        Rule(
            cel="self.address.startsWith('unix:') == !has(self.port)",
            message="port is needed for an IP address, and only there",
            holds=lambda listener: listener.address.startswith("unix:") == (listener.port is None),
        ),
        Rule(
            cel="self.auth.mode == 'Disabled' || self.tls.mode != 'Disabled'",
            message="auth needs tls: passwords are taken over TLS only",
            holds=lambda listener: listener.auth.mode == "Disabled" or listener.tls.mode != "Disabled",
        ),
        Rule(
            cel="self.role != 'Submission' || self.auth.mode != 'Disabled'",
            message="a Submission listener needs auth (RFC 6409, 4.3)",
            holds=lambda listener: listener.role != "Submission" or listener.auth.mode != "Disabled",
        ),
    )

    name: Annotated[Label, Meta(description="Name, unique in the service; label of metrics and logs.")]
    address: Annotated[
        Text,
        Meta(description="IP address, or unix:/path: whoever can reach its folder may connect, and is local."),
    ] = "0.0.0.0"  # noqa: S104
    port: Annotated[Port | None, Meta(description="TCP port.")] = None
    role: Annotated[
        Literal["MX", "Submission", "LMTP"], Meta(description="The peer: a server, a user's program, an LMTP client.")
    ] = "MX"
    tls: Annotated[ServerTls, Meta(description="TLS.")] = ServerTls()
    auth: Annotated[ServerAuth, Meta(description="AUTH.")] = ServerAuth()
    hostname: Annotated[Hostname | None, Meta(description="Banner name; the service's if left out.")] = None
    hostnames_ref: Annotated[
        LocalRef | None,
        Meta(description="Table with service addrname: local IP address to banner name; hostname where it has none."),
    ] = None
    proxy_protocol: Annotated[
        ProxyProtocol | None, Meta(description="Expect a PROXY header, and believe the client's address in it.")
    ] = None
    tag: Annotated[Line, Meta(description="What match.tag sees.")] = ""
    mask_source: Annotated[bool, Meta(description="Leave the client out of the Received field.")] = False
    received_auth: Annotated[bool, Meta(description="Put the authenticated user into the Received field.")] = False
    dsn: Annotated[bool, Meta(description="Offer DSN (RFC 3461).")] = True
    filter_refs: Annotated[FilterRefs, Meta(description="MailFilters of its sessions, in order.")] = ()
    service: Annotated[ListenerService, Meta(description="How it is reached in a cluster.")] = ListenerService()
