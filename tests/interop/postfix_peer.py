"""Debian's Postfix with the routes, TLS and AUTH of the matrix."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tests.support.certificates import CertificateFiles
from tests.support.next_hop import Hop
from tests.support.postfix_config import PostfixSettings
from tests.support.processes import LOOPBACK


def postfix_settings(
    directory: Path, default: Hop, routes: Mapping[str, Hop], certificate: CertificateFiles, auth_socket: Path
) -> PostfixSettings:
    """Make the settings; the tables that they need are written into `directory`."""
    tables = {
        "transport": {domain: f"smtp:{_next_hop(hop)}" for domain, hop in routes.items()},
        "policy": {_next_hop(hop): "verify" if hop.is_tls else "none" for hop in (default, *routes.values())},
        "logins": {_next_hop(hop): f"{hop.login.user}:{hop.login.password}" for hop in routes.values() if hop.login},
    }
    for name, rows in tables.items():
        (directory / name).write_text("".join(f"{key}\t{value}\n" for key, value in rows.items()))
    return PostfixSettings(
        relay_port=default.port,
        certificate=certificate,
        outgoing_tls="none",
        message_size_limit_bytes=60_000_000,
        extra={
            "transport_maps": f"texthash:{directory}/transport",
            "smtp_tls_policy_maps": f"texthash:{directory}/policy",
            "smtp_sasl_password_maps": f"texthash:{directory}/logins",
            "smtp_sasl_auth_enable": "yes",
            "smtp_sasl_security_options": "noanonymous",
            "smtputf8_enable": "yes",
            "smtpd_sasl_auth_enable": "yes",
            "smtpd_sasl_type": "dovecot",
            "smtpd_sasl_path": str(auth_socket),
            "smtpd_tls_auth_only": "yes",
        },
    )


def _next_hop(hop: Hop) -> str:
    """Two names for one host, as Postfix chooses TLS by the name."""
    return f"[localhost]:{hop.port}" if hop.is_tls else f"[{LOOPBACK}]:{hop.port}"
