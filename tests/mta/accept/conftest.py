"""Certificates, made once."""

import ssl
from dataclasses import dataclass

import pytest
import trustme

from paquebot_mta.config.service import Certificate


@dataclass(frozen=True)
class Identity:
    """A certificate as the configuration holds it, and contexts of clients that trust it."""

    certificate: Certificate
    authority: trustme.CA

    def client(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        self.authority.configure_trust(context)
        return context


def issue(authority: trustme.CA, *names: str) -> Certificate:
    issued = authority.issue_cert(*names)
    chain = b"".join(pem.bytes() for pem in issued.cert_chain_pems).decode()
    return Certificate(chain_pem=chain, key_pem=issued.private_key_pem.bytes().decode())


@pytest.fixture(scope="session")
def identity() -> Identity:
    authority = trustme.CA()
    return Identity(issue(authority, "mx.example.test"), authority)
