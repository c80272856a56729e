"""Domains and services whose records are told."""

from typing import Any

from paquebot_operator.api.core import Secret
from paquebot_operator.api.decode import decode
from paquebot_operator.api.maildomain import MailDomain
from paquebot_operator.api.mailservice import MailService
from paquebot_operator.desired.metadata import Manifest
from tests.operator.builders import domain, metadata, service

UID = "9b6a0a52-3f0e-4c43-8a3b-0f6a3f2a7c11"


def mail_domain(name: str = "example-test", **spec: Any) -> MailDomain:
    found = decode(domain(meta=metadata(name, "mail", uid=UID), **spec))
    assert isinstance(found, MailDomain)
    return found


def mail_service(**spec: Any) -> MailService:
    found = decode(service(**spec))
    assert isinstance(found, MailService)
    return found


def as_secret(manifest: Manifest) -> Secret:
    found = decode(manifest)
    assert isinstance(found, Secret)
    return found
