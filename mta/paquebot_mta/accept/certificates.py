"""Server TLS contexts from PEM text: versions, ciphers, client certificates, and the choice by name (SNI, RFC 6066)."""

import os
import ssl
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

from cryptography import x509

from paquebot_mta.config.listeners import ServerTls
from paquebot_mta.config.service import Certificate

_VERSIONS: Final = {"TLSv1.2": ssl.TLSVersion.TLSv1_2, "TLSv1.3": ssl.TLSVersion.TLSv1_3}
_VERIFY: Final = {"Never": ssl.CERT_NONE, "Optional": ssl.CERT_OPTIONAL, "Required": ssl.CERT_REQUIRED}


def server_context(tls: ServerTls, certificates: Mapping[str, Certificate]) -> ssl.SSLContext:
    """Make the context of a listener; the first certificate is the default, the others are chosen by SNI.

    Raises:
        ValueError: a certificate is missing or can't be loaded, or no cipher is left.
    """
    if not tls.certificates:
        raise ValueError("TLS needs a certificate")
    contexts = {name: _context(tls, name, certificates) for name in tls.certificates}
    default = contexts[tls.certificates[0]]
    if len(contexts) > 1:
        default.sni_callback = _Chooser(contexts, certificates).choose
    return default


class _Chooser:
    """Finds the context for a name: exact names before wildcards of one label (RFC 9525, 6.3)."""

    def __init__(self, contexts: Mapping[str, ssl.SSLContext], certificates: Mapping[str, Certificate]) -> None:
        self._by_name: dict[str, ssl.SSLContext] = {}
        for name, context in contexts.items():
            for subject in _names(certificates[name]):
                self._by_name.setdefault(subject.lower(), context)

    def choose(self, connection: ssl.SSLObject | ssl.SSLSocket, name: str | None, _: ssl.SSLContext) -> int | None:
        """Switch to the certificate for that name; an unknown one gets the default."""
        wanted = (name or "").lower()
        context = self._by_name.get(wanted) or self._by_name.get("*." + wanted.partition(".")[2])
        if context is not None:
            connection.context = context
        return None


def _names(certificate: Certificate) -> list[str]:
    leaf = x509.load_pem_x509_certificate(certificate.chain_pem.encode())
    with suppress(x509.ExtensionNotFound):
        return leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(
            x509.DNSName
        )
    return []


def _context(tls: ServerTls, name: str, certificates: Mapping[str, Certificate]) -> ssl.SSLContext:
    if name not in certificates:
        raise ValueError(f"certificate {name} does not exist")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _VERSIONS[tls.minimum_version]
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    try:
        if tls.ciphers:
            context.set_ciphers(tls.ciphers)
        _load(context, certificates[name])
        _verify_clients(context, tls, certificates)
    except (ssl.SSLError, ValueError) as error:
        raise ValueError(f"certificate {name} can't be used: {error}") from error
    return context


def _load(context: ssl.SSLContext, certificate: Certificate) -> None:
    """Load chain and key; the library reads files only, so they go through one that never touches a disk."""
    pem = certificate.chain_pem.rstrip() + "\n" + certificate.key_pem
    descriptor = os.memfd_create("certificate", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, pem.encode())
        # A passphrase can't be asked for: without this, OpenSSL would wait at the terminal.
        context.load_cert_chain(f"/proc/self/fd/{descriptor}", password=_no_passphrase)
    finally:
        os.close(descriptor)


def _no_passphrase() -> str:
    raise ValueError("the key is protected by a passphrase")


def _verify_clients(context: ssl.SSLContext, tls: ServerTls, certificates: Mapping[str, Certificate]) -> None:
    if tls.verify_client == "Never":
        return
    if tls.client_ca not in certificates:
        raise ValueError(f"certificate bundle {tls.client_ca!r} does not exist")
    context.load_verify_locations(cadata=certificates[tls.client_ca].chain_pem)
    context.verify_mode = _VERIFY[tls.verify_client]
