"""Certificates and keys, really loaded: they parse, belong together, and are judged by date and name."""

from collections.abc import Iterable
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from paquebot_mta.config.service import Certificate
from paquebot_operator.compile.conditions import Report

MINIMUM_RSA_BITS = 2048


def load_pair(chain: bytes, key: bytes, now: datetime, field: str, report: Report) -> Certificate | None:
    """Judge a chain and its key; None if they can't be used."""
    certificates = _chain(chain, field, report)
    private = _key(key, field, report)
    if certificates is None or private is None:
        return None
    public = certificates[0].public_key()
    if _spki(public) != _spki(private.public_key()):
        message = "the key in tls.key does not belong to the first certificate in tls.crt: put the leaf first"
        report.unresolved("CertificateKeyMismatch", field, message)
        return None
    if isinstance(public, RSAPublicKey) and public.key_size < MINIMUM_RSA_BITS:
        report.unresolved("InvalidCertificate", field, f"RSA keys need {MINIMUM_RSA_BITS} bits or more")
        return None
    _check_dates(certificates[0], now, field, report)
    return Certificate(chain_pem=_text(chain), key_pem=_text(key))


def load_bundle(bundle: bytes, field: str, report: Report) -> Certificate | None:
    """Judge a bundle of authorities; None if it can't be used."""
    return None if _chain(bundle, field, report) is None else Certificate(chain_pem=_text(bundle))


def check_hostname(certificates: Iterable[Certificate], hostname: str, field: str, report: Report) -> None:
    """Warn if no certificate is for ``hostname``."""
    leaves = [x509.load_pem_x509_certificates(each.chain_pem.encode())[0] for each in certificates]
    if leaves and not any(_covers(leaf, hostname) for leaf in leaves):
        message = f"no certificate is for {hostname}: clients that verify it will refuse"
        report.warn("ResolvedRefs", "HostnameNotCovered", field, message)


def _chain(chain: bytes, field: str, report: Report) -> list[x509.Certificate] | None:
    try:
        certificates = x509.load_pem_x509_certificates(chain)
        certificates[0].public_key()
        _text(chain)
    except (ValueError, UnsupportedAlgorithm):
        report.unresolved("InvalidCertificate", field, "no usable certificates in PEM")
        return None
    return certificates


def _key(key: bytes, field: str, report: Report) -> PrivateKeyTypes | None:
    try:
        return load_pem_private_key(key, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        report.unresolved("InvalidCertificate", field, "tls.key is no private key in PEM without a passphrase")
        return None


def _spki(key: PublicKeyTypes) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _check_dates(leaf: x509.Certificate, now: datetime, field: str, report: Report) -> None:
    if now > leaf.not_valid_after_utc:
        message = f"expired on {leaf.not_valid_after_utc:%Y-%m-%d}: renew it"
        report.warn("ResolvedRefs", "CertificateExpired", field, message)
    elif now < leaf.not_valid_before_utc:
        message = f"valid only from {leaf.not_valid_before_utc:%Y-%m-%d}"
        report.warn("ResolvedRefs", "CertificateNotYetValid", field, message)


def _covers(leaf: x509.Certificate, hostname: str) -> bool:
    """RFC 6125, 6.4.3: a wildcard is a whole leftmost label."""
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return False
    known = {name.lower() for name in names.get_values_for_type(x509.DNSName)}
    return hostname in known or f"*.{hostname.partition('.')[2]}" in known


def _text(pem: bytes) -> str:
    return pem.decode("ascii").replace("\r\n", "\n")
