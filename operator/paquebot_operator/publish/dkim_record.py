"""Public halves of DKIM keys, and their DNS record (RFC 6376, 3.6.1; RFC 8463)."""

import base64
from dataclasses import dataclass
from typing import Literal

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

MIN_RSA_BITS = 1_024
MAX_RSA_BITS = 4_096
"""Verifiers need not take longer ones (RFC 8301, 3.2), and a longer one fills a DNS answer."""


class DkimKeyError(ValueError):
    """A private key that can't sign for DKIM; the message says why and never quotes the key."""


@dataclass(frozen=True)
class DkimKey:
    """The public half of a key.

    Attributes:
        selector: under which it is published.
        algorithm: tag ``k`` of the record.
        public_key: tag ``p``: base64 of the raw 32 bytes (ed25519) or of the SubjectPublicKeyInfo (rsa).
    """

    selector: str
    algorithm: Literal["ed25519", "rsa"]
    public_key: str


def public_half(selector: str, pem: bytes) -> DkimKey:
    """Read a private key in PEM and keep its public half.

    Raises DkimKeyError if it is no unencrypted Ed25519 key or RSA key of 1,024 to 4,096 bits.
    """
    try:
        private = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise DkimKeyError("not an unencrypted private key in PEM") from None
    if isinstance(private, Ed25519PrivateKey):
        raw = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        return DkimKey(selector, "ed25519", base64.b64encode(raw).decode())
    if not isinstance(private, RSAPrivateKey):
        raise DkimKeyError("neither an Ed25519 nor an RSA key")
    if not MIN_RSA_BITS <= private.key_size <= MAX_RSA_BITS:
        raise DkimKeyError(f"an RSA key has {MIN_RSA_BITS} to {MAX_RSA_BITS} bits, this one {private.key_size}")
    der = private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return DkimKey(selector, "rsa", base64.b64encode(der).decode())


def dkim_text(key: DkimKey) -> str:
    """The text of a key's record."""
    return f"v=DKIM1; k={key.algorithm}; p={key.public_key}"
