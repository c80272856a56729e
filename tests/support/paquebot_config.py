"""The settings of a Paquebot under test and the configuration files that they become. Pure; starts nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import bcrypt
from msgspec import structs

from paquebot_mta.config.actions import Action, ClientTls, Maildir, Relay
from paquebot_mta.config.codec import dump
from paquebot_mta.config.domains import Domain
from paquebot_mta.config.filters import Filter
from paquebot_mta.config.listeners import Listener, ServerAuth, ServerTls
from paquebot_mta.config.reports import Subscriber
from paquebot_mta.config.rules import Flag, For, From, Match, Pattern, Rule
from paquebot_mta.config.service import (
    Certificate,
    Limits,
    Logging,
    Outbound,
    OutboundLimits,
    OutboundTimeouts,
    Penalties,
    Queue,
    Resolver,
    Retry,
    ServiceShard,
)
from paquebot_mta.config.tables import Inline, Table

from .certificates import CertificateFiles
from .processes import LOOPBACK

HOSTNAME = "mx.example.test"
ALICE = "alice@example.test"
BOB = "bob@example.test"
PASSWORD = "correct horse"
FAR = "far.test"
"""A domain that isn't hosted, but relayed for everybody, by the action `relay`."""
OPPORTUNISTIC = ClientTls()
QUEUE = Queue(minimum_free_percent=0)
LIMITS = Limits(errors=100, messages_per_session=1_000)
TIMEOUTS = OutboundTimeouts(connect=5)
OUTBOUND_LIMITS = OutboundLimits()
PENALTIES = Penalties(base_seconds=1, defer_seconds=1)
"""As quick as the retries of tests."""


@dataclass(frozen=True)
class Ports:
    """Where one instance listens, on loopback."""

    mx: int
    submission: int
    admin: int


@dataclass(frozen=True)
class PaquebotSettings:
    """What a test chooses.

    `domains` are those hosted beside `example.test` (alice and bob, see `example_domain`), or instead of it when one
    has its name; `actions` are added to `relay` (by MX lookup through the name server at `resolver_port`, to
    `outbound_port`), `rules` are put before the usual ones: anybody to hosted domains and to `far.test`, authenticated
    users to everywhere. With a `certificate` there are STARTTLS and a submission listener with AUTH, where alice and
    bob have the password `PASSWORD`; `authority` is what `Verified` next hops are checked against. `tables` are those
    that `actions` need.
    `listeners` are added to the usual ones, as they are.
    `filters` are those that there are; `listener_filters` all listeners have, `relay_filters` the action `relay`.
    `reports` are subscribers of report events.
    `retry_seconds` is the base of all retries; `spare_resolver_port` is asked when the first name server is of no use.
    """

    domains: tuple[Domain, ...] = ()
    actions: Mapping[str, Action] = field(default_factory=dict)
    rules: tuple[Rule, ...] = ()
    tables: Mapping[str, Table] = field(default_factory=dict)
    listeners: tuple[Listener, ...] = ()
    filters: Mapping[str, Filter] = field(default_factory=dict)
    listener_filters: tuple[str, ...] = ()
    relay_filters: tuple[str, ...] = ()
    reports: Mapping[str, Subscriber] = field(default_factory=dict)
    certificate: CertificateFiles | None = None
    authority: Path | None = None
    resolver_port: int | None = None
    spare_resolver_port: int | None = None
    outbound_port: int = 25
    outgoing_tls: ClientTls = OPPORTUNISTIC
    retry_seconds: int = 1
    queue: Queue = QUEUE
    limits: Limits = LIMITS
    timeouts: OutboundTimeouts = TIMEOUTS
    outbound_limits: OutboundLimits = OUTBOUND_LIMITS
    penalties: Penalties = PENALTIES
    workers: int = 1
    grace_seconds: float = 10.0
    log_level: str = ""


def example_domain(directory: Path) -> Domain:
    """Return the hosted domain `example.test` with mailboxes below `directory`, and some aliases."""
    return Domain(
        name="example.test",
        delivery=maildirs(directory),
        mailboxes=("alice", "bob"),
        aliases={
            "postmaster": ("alice",),
            "team": ("alice", "bob"),
            "gone": ("error:550 5.1.6 moved away",),
            "later": ("error:451 4.3.0 try later",),
            "abroad": (f"friend@{FAR}",),
        },
    )


def maildirs(directory: Path) -> Action:
    """Return the delivery into maildirs that `Paquebot.delivered` reads."""
    return Action(maildir=Maildir(path=f"{directory}/mail/%{{domain}}/%{{user}}"))


def configuration(directory: Path, ports: Ports, settings: PaquebotSettings, generation: int = 1) -> dict[str, bytes]:
    """Return the files of the configuration directory."""
    domains = {each.name: each for each in (example_domain(directory), *settings.domains)}
    return dump(_service(ports, settings), domains.values(), generation)


def _service(ports: Ports, settings: PaquebotSettings) -> ServiceShard:
    base = settings.retry_seconds
    retry = Retry(base_seconds=base, local_base_seconds=base)
    queue = {name: getattr(settings.queue, name) for name in settings.queue.__struct_fields__} | {"retry": retry}
    resolvers = (settings.resolver_port, settings.spare_resolver_port)
    servers = tuple(f"{LOOPBACK}:{port}" for port in resolvers if port)
    outbound = Outbound(
        port=settings.outbound_port,
        allow_private_next_hops=True,
        timeouts=settings.timeouts,
        limits=settings.outbound_limits,
        penalties=settings.penalties,
    )
    return ServiceShard(
        name="test/mail",
        hostname=HOSTNAME,
        listeners=_listeners(ports, settings),
        rules=(*settings.rules, *_rules(settings)),
        actions={"relay": _relay(settings), **settings.actions},
        filters=dict(settings.filters),
        reports=dict(settings.reports),
        tables={"users": _users(), **settings.tables},
        certificates=_certificates(settings),
        queue=Queue(**queue),
        limits=settings.limits,
        outbound=outbound,
        resolver=Resolver(servers=servers, timeout_seconds=1.0),
        logging=Logging(personal_data="Full"),
    )


def _relay(settings: PaquebotSettings) -> Action:
    return Action(relay=Relay(tls=settings.outgoing_tls, filters=settings.relay_filters))


def _listeners(ports: Ports, settings: PaquebotSettings) -> tuple[Listener, ...]:
    usual = (structs.replace(each, filters=settings.listener_filters) for each in _plain_listeners(ports, settings))
    return (*usual, *settings.listeners)


def _plain_listeners(ports: Ports, settings: PaquebotSettings) -> tuple[Listener, ...]:
    if settings.certificate is None:
        return (Listener(name="mx", address=LOOPBACK, port=ports.mx),)
    offered = ServerTls(mode="StartTLS", certificates=("server",))
    demanded = ServerTls(mode="StartTLS", required=True, certificates=("server",))
    auth = ServerAuth(mode="Required", credentials="users")
    return (
        Listener(name="mx", address=LOOPBACK, port=ports.mx, tls=offered),
        Listener(
            name="submission", address=LOOPBACK, port=ports.submission, role="Submission", tls=demanded, auth=auth
        ),
    )


def _rules(settings: PaquebotSettings) -> tuple[Rule, ...]:
    anybody, authenticated = From(any=True), From(auth=Flag())
    far = For(domains=Pattern(values=(FAR,)))
    return (
        Rule(name="hosted", match=Match(from_=anybody, for_=For(hosted=Flag())), outcome="Domain"),
        Rule(name="far", match=Match(from_=anybody, for_=far), outcome="Action", action="relay"),
        Rule(name="users", match=Match(from_=authenticated, for_=For(any=True)), outcome="Action", action="relay"),
    )


def _certificates(settings: PaquebotSettings) -> dict[str, Certificate]:
    found = {}
    if (files := settings.certificate) is not None:
        found["server"] = Certificate(chain_pem=files.certificate.read_text(), key_pem=files.key.read_text())
    if settings.authority is not None:
        found["authority"] = Certificate(chain_pem=settings.authority.read_text())
    return found


@lru_cache(maxsize=1)
def _users() -> Table:
    # The cheapest bcrypt there is: the tests are not about its cost.
    hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(rounds=4)).decode()
    return Table(services=("credentials",), inline=Inline(entries=dict.fromkeys((ALICE, BOB), hashed)))
