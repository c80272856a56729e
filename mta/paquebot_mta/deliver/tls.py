"""TLS towards next hops: one context for each policy, and names for verification."""

import os
import ssl
from collections.abc import Mapping
from typing import Final, Literal

from paquebot_mta.config.actions import ClientTls
from paquebot_mta.config.service import Certificate

Reason = Literal["cert_expired", "cert_name", "cert_untrusted", "no_cipher", "protocol", "timeout", "eof", "other"]

# X509_V_ERR_* of OpenSSL.
_NOT_YET_VALID: Final = 9
_EXPIRED: Final = 10
_NAMES: Final = frozenset({62, 63, 64})
_PROTOCOL: Final = ("WRONG_VERSION", "UNSUPPORTED_PROTOCOL", "PROTOCOL_VERSION", "UNEXPECTED_MESSAGE", "HTTP_REQUEST")


class ClientContexts:
    """Makes the context of a policy once and keeps it; a new configuration makes a new object.

    ``certificates`` are the configuration's, by name. Making a verifying context reads the system's authorities (some
    milliseconds): call ``get`` for each policy off the event loop when a configuration is loaded.
    """

    def __init__(self, certificates: Mapping[str, Certificate]) -> None:
        """Start empty."""
        self._certificates = certificates
        self._contexts: dict[ClientTls, ssl.SSLContext] = {}

    def get(self, policy: ClientTls) -> ssl.SSLContext:
        """Give the context of that policy.

        Raises:
            ValueError: a certificate it names is missing or can't be read.
        """
        if (context := self._contexts.get(policy)) is None:
            context = self._contexts[policy] = self._make(policy)
        return context

    def _make(self, policy: ClientTls) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if policy.policy == "Verified":
            self._trust(context, policy.ca)
        else:
            # RFC 7435: encryption without authentication is better than none.
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if policy.client_certificate:
            _load_chain(context, self._named(policy.client_certificate), policy.client_certificate)
        return context

    def _trust(self, context: ssl.SSLContext, name: str) -> None:
        if not name:
            context.load_default_certs()
            return
        try:
            context.load_verify_locations(cadata=self._named(name).chain_pem)
        except ssl.SSLError as error:
            raise ValueError(f"certificate bundle {name!r} can't be read: {error.reason}") from error

    def _named(self, name: str) -> Certificate:
        if (certificate := self._certificates.get(name)) is None:
            raise ValueError(f"no certificate is named {name!r}")
        return certificate


def _load_chain(context: ssl.SSLContext, certificate: Certificate, name: str) -> None:
    """Load chain and key from memory: the module wants a path, and a key must not lie on a disk."""
    descriptor = os.memfd_create("client-certificate", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, f"{certificate.key_pem}\n{certificate.chain_pem}".encode())
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    except ssl.SSLError as error:
        raise ValueError(f"client certificate {name!r} can't be read: {error.reason}") from error
    finally:
        os.close(descriptor)


def verification_name(name: str, address: str) -> str:
    """Name to verify and to ask for: the next hop's, its address if it has no name.

    An address is verified as one and never sent as SNI (RFC 6066, 3), which the ssl module does if it has no brackets.
    """
    return name.rstrip(".") or address


def failure_reason(error: BaseException) -> Reason:
    """Put a handshake's failure into the vocabulary of metrics."""
    if isinstance(error, ssl.SSLCertVerificationError):
        if error.verify_code in {_EXPIRED, _NOT_YET_VALID}:
            return "cert_expired"
        return "cert_name" if error.verify_code in _NAMES else "cert_untrusted"
    if isinstance(error, ssl.SSLError):
        return _ssl_reason(error.reason or "")
    if isinstance(error, TimeoutError):
        return "timeout"
    return "eof" if isinstance(error, ConnectionError | EOFError) else "other"


def _ssl_reason(reason: str) -> Reason:
    if "CIPHER" in reason or "HANDSHAKE_FAILURE" in reason:
        return "no_cipher"
    if any(part in reason for part in _PROTOCOL):
        return "protocol"
    return "eof" if "EOF" in reason else "other"
