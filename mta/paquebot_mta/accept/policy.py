"""What a listener wants, made ready for the hot path: TLS contexts loaded, banner spelled, tables at hand."""

import ipaddress
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from paquebot_mta.accept.certificates import server_context
from paquebot_mta.accept.homes import NOWHERE, Homes, build_homes
from paquebot_mta.accept.proxied import Networks
from paquebot_mta.config.listeners import Listener
from paquebot_mta.config.service import Limits, MtaConfig
from paquebot_mta.expand.results import Expander
from paquebot_mta.filter.running import Screen
from paquebot_mta.mail.reply import Reply
from paquebot_mta.table.lookup import Table


class PolicyError(ValueError):
    """A listener can't be served as configured; the message names it."""


@dataclass(frozen=True, slots=True)
class ListenerPolicy:
    """One listener.

    Attributes:
        tls: None if the listener has no TLS.
        hostname: banner name; ``hostnames`` may have another one for a local address.
        credentials, senders, hostnames: tables, None if not configured.
        proxies: networks whose PROXY header is believed; empty if the listener expects none.
        screen: what its sessions are filtered by, None if by nothing.
        homes: where names without a domain live.
        extensions: lines of EHLO in the clear; ``secure_extensions`` over TLS, without AUTH and STARTTLS.
    """

    listener: Listener
    hostname: str
    limits: Limits
    expander: Expander
    banner: Reply
    extensions: tuple[str, ...]
    secure_extensions: tuple[str, ...]
    tls: ssl.SSLContext | None = None
    credentials: Table | None = None
    senders: Table | None = None
    proxies: Networks = ()
    hostnames: Table | None = None
    screen: Screen | None = None
    homes: Homes = NOWHERE

    @property
    def lmtp(self) -> bool:
        """Whether LHLO opens sessions (RFC 2033)."""
        return self.listener.role == "LMTP"


@dataclass(frozen=True, slots=True)
class AcceptPolicy:
    """All listeners by name, and the limits they share."""

    limits: Limits
    listeners: dict[str, ListenerPolicy] = field(default_factory=dict)


def build_policy(
    config: MtaConfig, tables: Mapping[str, Table], expander: Expander, screens: Mapping[str, Screen] | None = None
) -> AcceptPolicy:
    """Make the policy of a configuration; loads certificates and keys, so call it off the event loop.

    ``screens`` are the filters of listeners, by name.

    Raises:
        PolicyError: a certificate can't be loaded, or a table that is named isn't there.
    """
    service, found, homes = config.service, screens or {}, build_homes(config)
    listeners = {
        each.name: replace(_build_listener(each, config, tables, expander, found.get(each.name)), homes=homes)
        for each in service.listeners
    }
    return AcceptPolicy(service.limits, listeners)


def _build_listener(
    listener: Listener, config: MtaConfig, tables: Mapping[str, Table], expander: Expander, screen: Screen | None
) -> ListenerPolicy:
    service = config.service
    hostname = listener.hostname or service.hostname
    try:
        if listener.filters and screen is None:
            raise PolicyError("its filters were not built")
        tls = None if listener.tls.mode == "Off" else server_context(listener.tls, service.certificates)
        return ListenerPolicy(
            listener,
            hostname,
            service.limits,
            expander,
            spell_banner(hostname, listener),
            _extensions(listener, service.limits, secure=False),
            _extensions(listener, service.limits, secure=True),
            tls,
            _table(tables, listener.auth.credentials),
            _table(tables, listener.auth.senders),
            _proxies(listener),
            _table(tables, listener.hostnames),
            screen,
        )
    except (ValueError, OSError, KeyError) as error:
        raise PolicyError(f"listener {listener.name}: {error}") from error


def spell_banner(hostname: str, listener: Listener) -> Reply:
    """Spell the greeting (RFC 5321, 4.3.1; RFC 2033, 4)."""
    return Reply(220, f"{hostname} {'LMTP' if listener.role == 'LMTP' else 'ESMTP'} Paquebot")


def _extensions(listener: Listener, limits: Limits, *, secure: bool) -> tuple[str, ...]:
    """List what EHLO offers, in OpenSMTPD's order, ours behind it."""
    offered = ["8BITMIME", "ENHANCEDSTATUSCODES", f"SIZE {limits.message_bytes}"]
    offered += ["DSN"] if listener.dsn else []
    offered += ["PIPELINING", "CHUNKING", "SMTPUTF8"]
    if not secure and listener.tls.mode == "StartTLS":
        offered.append("STARTTLS")
    if secure and listener.auth.mode != "Off":
        offered.append("AUTH PLAIN LOGIN")
    return (*offered, "HELP")


def _proxies(listener: Listener) -> Networks:
    """Read the networks; a listener that expects a header must know from whom."""
    if listener.proxy_protocol is None:
        return ()
    if not listener.proxy_protocol.trusted:
        raise PolicyError("proxyProtocol trusts nobody")
    return tuple(ipaddress.ip_network(network, strict=False) for network in listener.proxy_protocol.trusted)


def _table(tables: Mapping[str, Table], name: str) -> Table | None:
    if name and name not in tables:
        raise PolicyError(f"table {name} does not exist")
    return tables[name] if name else None
