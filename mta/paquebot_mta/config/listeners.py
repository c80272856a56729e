"""Where and how sessions come in."""

from typing import Literal

from paquebot_mta.config.base import Value

Role = Literal["MX", "Submission", "LMTP"]


class ServerTls(Value, frozen=True, kw_only=True):
    """TLS of a listener.

    Attributes:
        mode: ``Off``, ``StartTLS`` (offered after EHLO) or ``Implicit`` (from the first byte, RFC 8314).
        required: refuse MAIL without TLS (530 5.7.0).
        certificates: names in ``ServiceConfig.certificates``; the first is the default, the others are chosen by SNI.
        minimum_version: lowest version that is spoken.
        ciphers: OpenSSL cipher list for TLS 1.2, empty for the library's.
        verify_client: ask for client certificates: never, if the client has one, or insist.
        client_ca: name of the certificate bundle that signs them.
    """

    mode: Literal["Off", "StartTLS", "Implicit"] = "Off"
    required: bool = False
    certificates: tuple[str, ...] = ()
    minimum_version: Literal["TLSv1.2", "TLSv1.3"] = "TLSv1.2"
    ciphers: str = ""
    verify_client: Literal["Never", "Optional", "Required"] = "Never"
    client_ca: str = ""


class ServerAuth(Value, frozen=True, kw_only=True):
    """AUTH of a listener (RFC 4954); offered over TLS only.

    Attributes:
        mode: ``Required`` answers MAIL with 530 until authenticated.
        credentials: name of a table with service ``credentials``.
        senders: name of a table user -> addresses that the user may send as; empty: the user's own address only,
            if user names are addresses, else any.
        masquerade: rewrite From: to the envelope's sender.
    """

    mode: Literal["Off", "Optional", "Required"] = "Off"
    credentials: str = ""
    senders: str = ""
    masquerade: bool = False


class ProxyProtocol(Value, frozen=True, kw_only=True):
    """PROXY protocol v1/v2 in front of the session, believed from these networks only."""

    trusted: tuple[str, ...]


class Listener(Value, frozen=True, kw_only=True):
    """One place to listen.

    Attributes:
        name: unique; label of metrics and logs.
        address: IP address to bind, or ``unix:/path``.
        port: TCP port; 0 for a unix socket.
        role: what the peer is: another server (MX), a user's program (Submission), or one that speaks LMTP.
        hostname: banner name; empty for the service's. ``hostnames``: table local address -> name.
        tag: what ``match tag`` sees.
        mask_source: leave "from HELO (name [address])" out of Received.
        received_auth: put the authenticated user into Received.
        dsn: offer DSN (RFC 3461).
        filters: names of filters, in order.
    """

    name: str
    address: str = "0.0.0.0"  # noqa: S104 - a listener in a pod listens on all addresses
    port: int = 0
    role: Role = "MX"
    tls: ServerTls = ServerTls()
    auth: ServerAuth = ServerAuth()
    proxy_protocol: ProxyProtocol | None = None
    hostname: str = ""
    hostnames: str = ""
    tag: str = ""
    mask_source: bool = False
    received_auth: bool = False
    dsn: bool = True
    filters: tuple[str, ...] = ()
