"""Sending, of a MailService; the defaults are the reference's and need no change."""

from typing import Annotated, Literal

from msgspec import Meta

from paquebot_operator.api.actions import ClientTls
from paquebot_operator.api.common import Count, Hostname, Seconds
from paquebot_operator.api.validation import ApiValue, at_most_one

Milliseconds = Annotated[int, Meta(ge=0, le=3_600_000)]


class OutboundLimits(ApiValue, frozen=True, kw_only=True):
    """Connections and batches towards other servers."""

    max_connections_per_host: Annotated[Count, Meta(description="To one address.")] = 10
    max_connections_per_route: Annotated[Count, Meta(description="From one source to one address.")] = 5
    max_connections_per_source: Annotated[Count, Meta(description="From one source.")] = 100
    max_connections_per_relay: Annotated[Count, Meta(description="For one relay.")] = 100
    max_connections_per_domain: Annotated[Count, Meta(description="For one domain.")] = 100
    max_messages_per_session: Annotated[Count, Meta(description="Messages on one connection.")] = 100
    max_recipients_per_transaction: Annotated[Count, Meta(description="Recipients in one transaction.")] = 100
    keepalive_seconds: Annotated[Seconds, Meta(description="An idle connection is kept so long.")] = 10
    max_failures_per_session: Annotated[Count, Meta(description="Refused recipients in a row.")] = 25
    max_in_flight: Annotated[Count, Meta(description="Envelopes being delivered.")] = 5_000
    max_local_deliveries: Annotated[Count, Meta(description="Local deliveries at once.")] = 50
    max_local_deliveries_per_user: Annotated[Count, Meta(description="The same for one user.")] = 7


class OutboundTimeouts(ApiValue, frozen=True, kw_only=True):
    """Waits of the client (RFC 5321, 4.5.3.2)."""

    connect_seconds: Annotated[Seconds, Meta(description="TCP connection.")] = 30
    banner_seconds: Annotated[Seconds, Meta(description="Greeting.")] = 300
    command_seconds: Annotated[Seconds, Meta(description="EHLO, STARTTLS, AUTH, RSET.")] = 300
    mail_seconds: Annotated[Seconds, Meta(description="MAIL.")] = 300
    recipient_seconds: Annotated[Seconds, Meta(description="RCPT.")] = 300
    data_seconds: Annotated[Seconds, Meta(description="DATA.")] = 120
    block_seconds: Annotated[Seconds, Meta(description="A block of content.")] = 180
    final_dot_seconds: Annotated[Seconds, Meta(description="Reply to the end of data.")] = 600


class OutboundDelays(ApiValue, frozen=True, kw_only=True):
    """Least time between the openings of two connections; 0 is none."""

    host_milliseconds: Annotated[Milliseconds, Meta(description="To one address.")] = 0
    route_milliseconds: Annotated[Milliseconds, Meta(description="From one source to one address.")] = 0
    source_milliseconds: Annotated[Milliseconds, Meta(description="From one source.")] = 0
    relay_milliseconds: Annotated[Milliseconds, Meta(description="For one relay.")] = 0
    domain_milliseconds: Annotated[Milliseconds, Meta(description="For one domain.")] = 0
    reconnect_milliseconds: Annotated[
        Milliseconds, Meta(description="From one source to one address, after a connection failed.")
    ] = 3_000


class Penalties(ApiValue, frozen=True, kw_only=True):
    """When a route to a next hop rests, and for how long."""

    base_seconds: Annotated[
        Seconds, Meta(description="A route that can't be connected rests base * penalty² seconds.")
    ] = 15
    max_seconds: Annotated[Seconds, Meta(description="And never longer than this.")] = 3_600
    consecutive_reject_limit: Annotated[
        int,
        Meta(
            ge=0,
            le=10_000,
            description="Recipients refused for now in a row until the rest of the list waits; 0 is off.",
        ),
    ] = 10
    fruitless_message_limit: Annotated[
        int, Meta(ge=0, le=10_000, description="Messages in a row without a delivery until it does; 0 is off.")
    ] = 10
    defer_delay_seconds: Annotated[Seconds, Meta(description="So long the rest of the list waits.")] = 400


class Destination(ApiValue, frozen=True, kw_only=True):
    """What holds for some domains that mail is relayed to."""

    validations = (
        at_most_one(
            "maxMessagesPerSecond",
            "maxMessagesPerMinute",
            attributes=("max_messages_per_second", "max_messages_per_minute"),
        ),
    )

    domain: Annotated[
        Hostname, Meta(description="Recipients' domain; * stands for one label. The first entry that matches counts.")
    ]
    max_connections: Annotated[Count | None, Meta(description="Open at once, to all that match together.")] = None
    max_messages_per_session: Annotated[Count | None, Meta(description="Messages on one connection.")] = None
    max_messages_per_second: Annotated[Count | None, Meta(description="Rate to all that match together.")] = None
    max_messages_per_minute: Annotated[Count | None, Meta(description="The same, for slow ones.")] = None
    connection_delay_milliseconds: Annotated[
        Milliseconds, Meta(description="Least time between the openings of two connections.")
    ] = 0
    tls: Annotated[
        ClientTls | None, Meta(description="TLS towards the domains' MX hosts, instead of the action's.")
    ] = None


class Outbound(ApiValue, frozen=True, kw_only=True):
    """Sending."""

    helo: Annotated[Hostname | None, Meta(description="EHLO name; the service's if left out.")] = None
    family: Annotated[
        Literal["IPv6First", "IPv4First", "IPv4Only", "IPv6Only"], Meta(description="Address families, in order.")
    ] = "IPv6First"
    port: Annotated[int, Meta(ge=1, le=65535, description="Where MX hosts listen; anything but 25 is for tests.")] = 25
    allow_private_next_hops: Annotated[
        bool, Meta(description="Deliver to loopback and private addresses found by MX lookup.")
    ] = False
    limits: Annotated[OutboundLimits, Meta(description="Connections and batches.")] = OutboundLimits()
    timeouts: Annotated[OutboundTimeouts, Meta(description="Waits.")] = OutboundTimeouts()
    delays: Annotated[OutboundDelays, Meta(description="Time between connections.")] = OutboundDelays()
    penalties: Annotated[Penalties, Meta(description="Rests of routes that fail.")] = Penalties()
    destinations: Annotated[
        tuple[Destination, ...], Meta(max_length=256, description="Limits and TLS for some domains.")
    ] = ()
