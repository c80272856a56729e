"""Checks of actions."""

import re
from typing import Final

from paquebot_mta.config.actions import Action, ClientTls, Lmtp, Relay
from paquebot_mta.config.check_tables import Names

_LMTP: Final = re.compile(r"unix:/[^\0]+|(?:\[[0-9A-Fa-f:.]+\]|[^\s:/\[\]]+):(?P<port>[0-9]{1,5})")


def check_action(action: Action, path: str, names: Names) -> None:
    """Check an action: exactly one kind, names, ports and paths."""
    kinds = [name for name in action.__struct_fields__ if getattr(action, name) is not None]
    if len(kinds) != 1:
        names.faults.add(path, f"exactly one of {', '.join(action.__struct_fields__)} must be given, not {len(kinds)}")
    if action.relay is not None:
        _check_relay(action.relay, f"{path}.relay", names)
    if action.lmtp is not None:
        _check_lmtp(action.lmtp, f"{path}.lmtp", names)
    for kind, local in (("maildir", action.maildir), ("mbox", action.mbox)):
        if local is not None:
            _check_path(local.path, f"{path}.{kind}.path", names)
    for kind, timed in (
        ("relay", action.relay),
        ("lmtp", action.lmtp),
        ("maildir", action.maildir),
        ("mbox", action.mbox),
    ):
        lives = timed is None or timed.ttl_seconds is None or timed.ttl_seconds > 0
        names.faults.check(that=lives, path=f"{path}.{kind}.ttlSeconds", reason="must be positive")


def _check_relay(relay: Relay, path: str, names: Names) -> None:
    names.faults.check(that=1 <= relay.port <= 65_535, path=f"{path}.port", reason="not a port")
    check_tls(relay.tls, f"{path}.tls", names)
    names.table(relay.source, f"{path}.source", "source")
    names.table(relay.helo_names, f"{path}.heloNames", "addrname")
    if relay.auth is not None:
        names.table(relay.auth.credentials, f"{path}.auth.credentials", "credentials", "auth")
        given = bool(relay.auth.credentials and relay.auth.label and relay.host)
        names.faults.check(that=given, path=f"{path}.auth", reason="AUTH needs host, credentials and label")
    names.filters(relay.filters, f"{path}.filters")


def _check_lmtp(lmtp: Lmtp, path: str, names: Names) -> None:
    found = _LMTP.fullmatch(lmtp.destination)
    reachable = found is not None and 1 <= int(found["port"] or 1) <= 65_535
    names.faults.check(that=reachable, path=f"{path}.destination", reason="neither host:port nor unix:/path")
    check_tls(lmtp.tls, f"{path}.tls", names)


def check_tls(tls: ClientTls, path: str, names: Names) -> None:
    """Check the names in a TLS policy."""
    names.certificate(tls.ca, f"{path}.ca")
    names.certificate(tls.client_certificate, f"{path}.clientCertificate", with_key=True)


def _check_path(path_text: str, path: str, names: Names) -> None:
    safe = bool(path_text) and path_text.isprintable() and ".." not in path_text.split("/")
    names.faults.check(that=safe, path=path, reason="empty, unprintable, or leads upwards")
