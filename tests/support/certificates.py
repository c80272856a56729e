"""A throw-away certificate authority and server certificates as PEM files."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme


@dataclass(frozen=True)
class CertificateFiles:
    """Paths of PEM files: the certificate with its chain, its private key, and the authority to trust."""

    certificate: Path
    key: Path
    authority: Path

    def server_context(self) -> ssl.SSLContext:
        """Make a context that serves this certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        return context

    def client_context(self) -> ssl.SSLContext:
        """Make a context that trusts this certificate's authority only, and checks names."""
        return ssl.create_default_context(cafile=self.authority)


class CertificateAuthority:
    """An authority whose files lie in `directory`; each instance is a different one."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._authority = trustme.CA()
        self.path = directory / "authority.pem"
        self._authority.cert_pem.write_to_path(self.path)

    def issue(self, *names: str, days: int | None = None) -> CertificateFiles:
        """Issue a certificate for DNS names or IP addresses, nearly for ever unless for so many days.

        Files are named after the first name.
        """
        ends = datetime.now(UTC) + timedelta(days=days) if days is not None else None
        issued = self._authority.issue_cert(*names, not_after=ends)
        files = CertificateFiles(self._directory / f"{names[0]}.crt", self._directory / f"{names[0]}.key", self.path)
        files.certificate.write_bytes(b"".join(pem.bytes() for pem in issued.cert_chain_pems))
        files.key.touch(mode=0o600)
        files.key.write_bytes(issued.private_key_pem.bytes())
        return files
