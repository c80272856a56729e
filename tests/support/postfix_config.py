"""The settings of a private Postfix and the main.cf and master.cf that they become. Pure; starts nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from .certificates import CertificateFiles
from .processes import LOOPBACK

MAILDIR = "everyone"

_SERVICES = """\
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
lmtp unix - - n - - lmtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
local unix - n n - - local
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""


@dataclass(frozen=True)
class PostfixSettings:
    """What a test chooses.

    `mailbox_domains` are delivered, whatever the local part, and `Postfix.delivered` reads them by address;
    `relay_domains` and all other mail from loopback go to `relay_port` of loopback, or bounce when it is None (no test
    ever asks the real DNS).
    `recipient_replies` maps addresses to replies of RCPT, such as `550 5.1.1 no such user`.
    `incoming_tls` and `outgoing_tls` are Postfix's security levels: none, may, encrypt.
    `extra` is added to main.cf as it is. `retry_seconds` bounds the back-off of deferred mail.
    """

    hostname: str = "postfix.test"
    mailbox_domains: tuple[str, ...] = ()
    relay_domains: tuple[str, ...] = ()
    relay_port: int | None = None
    recipient_replies: Mapping[str, str] = field(default_factory=dict)
    certificate: CertificateFiles | None = None
    incoming_tls: str = "may"
    outgoing_tls: str = "may"
    message_size_limit_bytes: int = 10_240_000
    offers_dsn: bool = True
    retry_seconds: int = 1
    process_limit: int = 100
    extra: Mapping[str, str] = field(default_factory=dict)


def benchmark_settings(relay_port: int, **chosen: str) -> PostfixSettings:
    """Return the profile for throughput: no artificial delay, no rate limit, many processes, fsync as shipped."""
    unlimited = {
        "in_flow_delay": "0",
        "smtpd_client_connection_count_limit": "0",
        "smtpd_client_connection_rate_limit": "0",
        "smtpd_client_message_rate_limit": "0",
        "smtpd_client_recipient_rate_limit": "0",
        "smtpd_client_event_limit_exceptions": f"{LOOPBACK}/8",
    }
    base = PostfixSettings(relay_port=relay_port, relay_domains=("example.test",), incoming_tls="none")
    return replace(base, process_limit=400, retry_seconds=300, extra={**unlimited, **chosen})


def main_cf(directory: Path, settings: PostfixSettings) -> str:
    """Return main.cf of an instance whose everything lies below `directory`."""
    values = {
        **_places(directory),
        **_identity(settings),
        **_delivery(directory, settings),
        **_restrictions(directory, settings),
        **_tls(settings),
        **settings.extra,
    }
    return "".join(f"{name} = {value}\n" for name, value in values.items())


def master_cf(port: int, settings: PostfixSettings) -> str:
    """Return master.cf: one listener on loopback and every internal service, none in a chroot."""
    listener = f"{LOOPBACK}:{port} inet n - n - {settings.process_limit} smtpd\n"
    return listener + _SERVICES


def _places(directory: Path) -> dict[str, str]:
    return {
        "compatibility_level": "3.6",
        "queue_directory": str(directory / "queue"),
        "data_directory": str(directory / "data"),
        "maillog_file": "/dev/stdout",
        # Without these, aliases and lookups would reach for the system's own files and name servers.
        "alias_maps": "",
        "alias_database": "",
        "disable_dns_lookups": "yes",
        "smtpd_peername_lookup": "no",
        "inet_interfaces": LOOPBACK,
        "inet_protocols": "ipv4",
    }


def _identity(settings: PostfixSettings) -> dict[str, str]:
    return {
        "myhostname": settings.hostname,
        "myorigin": settings.hostname,
        "mynetworks": "127.0.0.0/8",
        "mydestination": "",
        "message_size_limit": str(settings.message_size_limit_bytes),
        "mailbox_size_limit": "0",
        "virtual_mailbox_limit": "0",
        "default_process_limit": str(settings.process_limit),
        "smtpd_discard_ehlo_keywords": "" if settings.offers_dsn else "dsn, silent-discard",
        "queue_run_delay": f"{settings.retry_seconds}s",
        "minimal_backoff_time": f"{settings.retry_seconds}s",
        "maximal_backoff_time": f"{settings.retry_seconds * 4}s",
    }


def _delivery(directory: Path, settings: PostfixSettings) -> dict[str, str]:
    nowhere = "error:5.4.4 this test has no route"
    next_hop = nowhere if settings.relay_port is None else f"smtp:[{LOOPBACK}]:{settings.relay_port}"
    return {
        "virtual_mailbox_domains": ", ".join(settings.mailbox_domains),
        "virtual_mailbox_base": str(directory / "mail"),
        "virtual_mailbox_maps": f"static:{MAILDIR}/",
        "virtual_minimum_uid": "1",
        "virtual_uid_maps": "static:8",
        "virtual_gid_maps": "static:8",
        "relay_domains": ", ".join(settings.relay_domains),
        "default_transport": next_hop,
        "relay_transport": next_hop,
    }


def _restrictions(directory: Path, settings: PostfixSettings) -> dict[str, str]:
    replies = f"check_recipient_access hash:{directory}/config/recipients"
    return {
        "smtpd_relay_restrictions": "permit_mynetworks, reject_unauth_destination",
        # Before permit_mynetworks, or loopback would never meet the replies that the test asks for.
        "smtpd_recipient_restrictions": f"{replies}, permit_mynetworks, reject_unauth_destination",
        # A reply of a test must not slow down the next command.
        "smtpd_error_sleep_time": "0",
    }


def _tls(settings: PostfixSettings) -> dict[str, str]:
    outgoing = {"smtp_tls_security_level": settings.outgoing_tls, "smtp_tls_loglevel": "1"}
    files = settings.certificate
    if files is None:
        return {**outgoing, "smtpd_tls_security_level": "none"}
    return {
        **outgoing,
        "smtpd_tls_security_level": settings.incoming_tls,
        "smtpd_tls_cert_file": str(files.certificate),
        "smtpd_tls_key_file": str(files.key),
        "smtp_tls_CAfile": str(files.authority),
    }
