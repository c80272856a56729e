"""The whole of a MailService as the MTA reads it."""

from typing import Literal

from msgspec import field

from paquebot_mta.config.actions import Action, ClientTls
from paquebot_mta.config.base import Value
from paquebot_mta.config.domains import Domain
from paquebot_mta.config.filters import Filter
from paquebot_mta.config.listeners import Listener
from paquebot_mta.config.rates import Rates
from paquebot_mta.config.reports import Subscriber
from paquebot_mta.config.rules import Rule
from paquebot_mta.config.tables import Table


class Certificate(Value, frozen=True, kw_only=True):
    """A certificate chain and its key in PEM; a bundle of authorities has no key."""

    chain_pem: str
    key_pem: str = ""


class Retry(Value, frozen=True, kw_only=True):
    """Back-off: creation + base * n² (reference: OpenSMTPD's scheduler)."""

    base_seconds: int = 400
    local_base_seconds: int = 10


class Queue(Value, frozen=True, kw_only=True):
    """The spool.

    Attributes:
        backend: ``Journal`` on a volume; ``Memory`` and ``Null`` lose mail by design and are for tests and
            measurements.
        ttl_seconds: life of an envelope, 4 days.
        warn_after_seconds: ages at which a delay warning is sent.
        minimum_free_percent: below this share of free blocks or inodes new mail is answered 452.
        compression, key_ring: for the volume's content.
        lease_seconds: a process that can't show for so long that it lives is not ready; after 1.5 times as much others
            take its mail over.
        grave_seconds: how long what is left of a process's directory is kept after its last message.
    """

    backend: Literal["Journal", "Memory", "Null"] = "Journal"
    ttl_seconds: int = 345_600
    retry: Retry = Retry()
    warn_after_seconds: tuple[int, ...] = (14_400,)
    minimum_free_percent: int = 5
    compression: Literal["None", "Zstd", "Gzip"] = "None"
    key_ring: str = ""
    lease_seconds: int = 8
    grave_seconds: int = 86_400


class Limits(Value, frozen=True, kw_only=True):
    """What one client may use up (RFC 5321, 4.5.3; reference values of Postfix and OpenSMTPD).

    Attributes:
        sessions_per_client: of an IPv4 address or, in IPv6, a /64: one site has at least that (RFC 6177).
        sessions_per_network: of a /24 or, in IPv6, a /48; 0 is no limit.
        stress_sessions_percent: part of ``sessions`` from which on, as with a lagging loop or little memory, clients
            are waited for ``stress_timeout_seconds`` only.
    """

    sessions: int = 1_000
    sessions_per_client: int = 50
    message_bytes: int = 36_700_160
    messages_per_session: int = 100
    recipients: int = 1_000
    errors: int = 20
    junk_commands: int = 100
    auth_failures: int = 3
    received_headers: int = 50
    header_bytes: int = 262_144
    command_timeout_seconds: int = 300
    data_timeout_seconds: int = 180
    data_bytes_per_second: int = 100
    session_timeout_seconds: int = 3_600
    handshake_timeout_seconds: int = 30
    sessions_per_network: int = 0
    stress_sessions_percent: int = 90
    stress_timeout_seconds: int = 10
    rates: Rates = Rates()


class OutboundLimits(Value, frozen=True, kw_only=True):
    """Connections and batches, defaults of OpenSMTPD's ``mta limit``."""

    connections_per_host: int = 10
    connections_per_route: int = 5
    connections_per_source: int = 100
    connections_per_relay: int = 100
    connections_per_domain: int = 100
    messages_per_session: int = 100
    recipients_per_transaction: int = 100
    keepalive_seconds: int = 10
    failures_per_session: int = 25
    in_flight: int = 5_000
    local_deliveries: int = 50
    local_deliveries_per_user: int = 7


class OutboundDelays(Value, frozen=True, kw_only=True):
    """Least time between the openings of two connections along each axis, in seconds; 0 is none.

    Attributes:
        route: from one source to one address. reconnect: after a connection of a route failed.
    """

    host: float = 0.0
    route: float = 0.0
    source: float = 0.0
    relay: float = 0.0
    domain: float = 0.0
    reconnect: float = 3.0


class Penalties(Value, frozen=True, kw_only=True):
    """When a route rests, and for how long (OpenSMTPD's routing).

    Attributes:
        base_seconds, max_seconds: a new route whose connection fails rests min(base * penalty², max).
        consecutive_reject_limit: recipients refused for now (4yz) in a row until a route rests ``defer_seconds``; the
            rest of the list waits unsent as long.
        fruitless_message_limit: messages in a row of which nothing could be delivered for now until it does.
            0 turns either limit off.
    """

    base_seconds: int = 15
    max_seconds: int = 3_600
    consecutive_reject_limit: int = 10
    fruitless_message_limit: int = 10
    defer_seconds: int = 400


class DestinationLimits(Value, frozen=True, kw_only=True):
    """What holds for some domains that mail is relayed to; all that match share it.

    Attributes:
        domain: recipients' domain in lower-case A-labels; ``*`` stands for one label.
        connections: open at once. messages_per_session: on one connection.
        messages_per_minute: started, evenly spread; None for no limit.
        connection_delay_seconds: least time between the openings of two connections.
        tls: towards the domains' MX hosts, instead of the action's; a smarthost has the action's alone.
    """

    domain: str
    connections: int | None = None
    messages_per_session: int | None = None
    messages_per_minute: float | None = None
    connection_delay_seconds: float = 0.0
    tls: ClientTls | None = None


class OutboundTimeouts(Value, frozen=True, kw_only=True):
    """RFC 5321, 4.5.3.2, in seconds."""

    connect: int = 30
    banner: int = 300
    command: int = 300
    mail: int = 300
    recipient: int = 300
    data: int = 120
    block: int = 180
    final_dot: int = 600


class Outbound(Value, frozen=True, kw_only=True):
    """Sending.

    Attributes:
        helo: EHLO name, empty for the service's host name.
        family: address families, in the order they are tried.
        port: where MX hosts listen; anything but 25 is for tests.
        allow_private_next_hops: deliver to loopback and private addresses found by MX lookup.
        destinations: of relayed mail; the first that matches counts.
    """

    helo: str = ""
    family: Literal["IPv6First", "IPv4First", "IPv4Only", "IPv6Only"] = "IPv6First"
    port: int = 25
    allow_private_next_hops: bool = False
    limits: OutboundLimits = OutboundLimits()
    timeouts: OutboundTimeouts = OutboundTimeouts()
    delays: OutboundDelays = OutboundDelays()
    penalties: Penalties = Penalties()
    destinations: tuple[DestinationLimits, ...] = ()


class Resolver(Value, frozen=True, kw_only=True):
    """DNS: ``servers`` are ``address`` or ``address:port`` (``[v6]:port``); none means /etc/resolv.conf."""

    servers: tuple[str, ...] = ()
    timeout_seconds: float = 5.0
    cache_entries: int = 10_000


class Bounce(Value, frozen=True, kw_only=True):
    """Our notifications: ``from_`` is the local-part or address of the author shown in From."""

    from_: str = "MAILER-DAEMON"
    attach: Literal["Headers", "Full"] = "Headers"


class Logging(Value, frozen=True, kw_only=True):
    """What is logged; ``personal_data`` says how addresses are shown, ``pseudonym_key`` keys the pseudonyms."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    personal_data: Literal["Full", "Pseudonym", "Minimal"] = "Pseudonym"
    pseudonym_key: str = ""


class ServiceShard(Value, frozen=True, kw_only=True):
    """The shard ``service``: all but the domains.

    Attributes:
        name: ``namespace/name`` of the MailService.
        hostname: our name: banner, EHLO, Received, Reporting-MTA.
        actions, tables, certificates, filters: by name, as rules, listeners and domains refer to them.
        reports: who gets the stream of report events, by name.
    """

    name: str
    hostname: str
    listeners: tuple[Listener, ...]
    rules: tuple[Rule, ...] = ()
    actions: dict[str, Action] = field(default_factory=dict)
    tables: dict[str, Table] = field(default_factory=dict)
    certificates: dict[str, Certificate] = field(default_factory=dict)
    filters: dict[str, Filter] = field(default_factory=dict)
    queue: Queue = Queue()
    limits: Limits = Limits()
    outbound: Outbound = Outbound()
    resolver: Resolver = Resolver()
    bounce: Bounce = Bounce()
    logging: Logging = Logging()
    reports: dict[str, Subscriber] = field(default_factory=dict)


class ShardRef(Value, frozen=True, kw_only=True):
    """One file of the configuration and what its bytes must hash to."""

    name: str
    sha256: str


class Index(Value, frozen=True, kw_only=True):
    """``index.json``: the list of shards; ``digest`` is the sha256 over all of it and names the configuration.

    Attributes:
        version: of the contract; a reader takes its own and the one before.
        generation: of the MailService, for people.
    """

    version: Literal[1] = 1
    generation: int = 0
    service: ShardRef
    domains: tuple[ShardRef, ...] = ()


class MtaConfig(Value, frozen=True, kw_only=True):
    """A complete configuration in memory.

    Attributes:
        digest: 64 hex digits over the index's bytes.
        domains: by name.
        tables: all of them by name, the service's and the domains'.
    """

    digest: str
    generation: int
    service: ServiceShard
    domains: dict[str, Domain]
    tables: dict[str, Table]
