"""The Secret of a domain's managed DKIM keys: what it should hold, made when it is missing."""

import asyncio
import base64
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from paquebot_operator.api.core import Secret
from paquebot_operator.api.maildomain import MailDomain
from paquebot_operator.desired.metadata import domain_metadata
from paquebot_operator.desired.names import dkim_secret_name
from paquebot_operator.publish.dkim_record import DkimKey, DkimKeyError, public_half
from paquebot_operator.publish.dkim_ring import (
    KEY_SUFFIX,
    STATES_KEY,
    Algorithm,
    Ring,
    missing_key,
    read_ring,
    turned,
    write_ring,
)

SECRET_TYPE = "paquebot.dev/dkim"  # noqa: S105 - the type of a Secret
RSA_BITS = 2_048
RSA_EXPONENT = 65_537

Generate = Callable[[Algorithm], bytes]


@dataclass(frozen=True)
class DkimKeys:
    """Keys that are there, as DNS should tell them.

    Attributes:
        published: public halves of all keys whose records should be there, oldest first.
        signing: selector of the key that signs; empty if there is none.
        trouble: why there is none, or why one is left out; empty if all is well.
    """

    published: tuple[DkimKey, ...] = ()
    signing: str = ""
    trouble: str = ""


def generate(algorithm: Algorithm) -> bytes:
    """Make a private key in PEM (PKCS #8); takes up to a second for RSA, so never call it on the event loop."""
    private = (
        rsa.generate_private_key(public_exponent=RSA_EXPONENT, key_size=RSA_BITS)
        if algorithm == "RSA2048"
        else Ed25519PrivateKey.generate()
    )
    return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


async def managed_key(
    domain: MailDomain,
    existing: Secret | None,
    now: datetime,
    *,
    published: Collection[str] = (),
    generate: Generate = generate,
) -> dict[str, Any] | None:
    """Say what the Secret of ``domain``'s managed keys should be; None if it is as it should be.

    Keys are only ever added, and dropped when their time is over; the manifest holds all of them, so it may be applied
    over the existing Secret by its only field manager. The caller must give what the API server has now: a manifest
    made from an older Secret would lose keys.

    Args:
        existing: the Secret ``dkim_secret_name(domain.metadata.name)``, None if there is none.
        now: aware.
        published: selectors whose records were found by the last check.
        generate: makes a private key, in a thread.

    Raises:
        DkimKeyError: the existing Secret is not one of ours or damaged: a person must look at it.
    """
    if domain.spec.dkim.mode != "Managed":
        return None
    before, pems = _read(existing)
    ring = turned(before, domain.spec.dkim, now, published)
    wanted = missing_key(ring, domain.spec.dkim, now)
    if wanted is not None:
        pems = {**pems, wanted.selector: await asyncio.to_thread(generate, wanted.algorithm)}
        ring = ring.with_key(wanted)
    return None if existing is not None and ring == before else _manifest(domain, ring, pems)


def keys_of_secret(domain: MailDomain, secret: Secret | None) -> DkimKeys:
    """The keys of a domain: of its managed ring, or the one that ``secretRef`` names; none if DKIM is off.

    Takes some milliseconds for an RSA key, so keep the answer while the Secret stays as it is.
    """
    dkim = domain.spec.dkim
    if dkim.mode == "Disabled":
        return DkimKeys()
    if secret is None:
        return DkimKeys(trouble="the Secret with the key is not there")
    try:
        return _managed(secret) if dkim.mode == "Managed" else _given(domain, secret)
    except DkimKeyError as error:
        return DkimKeys(trouble=str(error))


def _managed(secret: Secret) -> DkimKeys:
    ring, pems = _read(secret)
    current = ring.in_state("Current")
    halves = tuple(public_half(key.selector, pems[key.selector]) for key in ring.keys)
    return DkimKeys(halves, current.selector if current is not None else "")


def _given(domain: MailDomain, secret: Secret) -> DkimKeys:
    ref, selector = domain.spec.dkim.secret_ref, domain.spec.dkim.selector
    assert ref is not None, "mode Secret has a reference: a rule of the API"
    assert selector is not None, "mode Secret has a selector: a rule of the API"
    pem = _value(secret, ref.key)
    if pem is None:
        raise DkimKeyError(f"the Secret has no key {ref.key}")
    return DkimKeys((public_half(selector, pem),), selector)


def _read(secret: Secret | None) -> tuple[Ring, Mapping[str, bytes]]:
    """The ring and its private keys by selector."""
    if secret is None:
        return Ring(), {}
    text = _value(secret, STATES_KEY)
    if text is None:
        raise DkimKeyError(f"a Secret without {STATES_KEY} is none of ours: give it another name or delete it")
    try:
        ring = read_ring(text)
    except ValueError as error:
        raise DkimKeyError(str(error)) from None
    pems: dict[str, bytes] = {}
    for key in ring.keys:
        pem = _value(secret, key.selector + KEY_SUFFIX)
        if pem is None:
            raise DkimKeyError(f"{key.selector}{KEY_SUFFIX} is missing: put it back, or delete the Secret for new keys")
        pems[key.selector] = pem
    return ring, pems


def _value(secret: Secret, key: str) -> bytes | None:
    try:
        return secret.value(key)
    except ValueError as error:
        raise DkimKeyError(f"{key}: {error}") from None


def _manifest(domain: MailDomain, ring: Ring, pems: Mapping[str, bytes]) -> dict[str, Any]:
    data = {key.selector + KEY_SUFFIX: pems[key.selector] for key in ring.keys} | {STATES_KEY: write_ring(ring)}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": domain_metadata(domain, dkim_secret_name(domain.metadata.name)),
        "type": SECRET_TYPE,
        "data": {name: base64.b64encode(content).decode() for name, content in sorted(data.items())},
    }
