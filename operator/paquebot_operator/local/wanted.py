"""Secrets that a local run makes on the spot, because a manifest asks for them by annotation.

- On a MailService, ``paquebot.dev/generate-certificates: NAME,...``: Secrets with a self-signed certificate for the
  service's hostname.
- On a Table with ``secretRef``, ``paquebot.dev/generate-users: USER,...``: the Secret that it refers to, with a random
  password for each user.

Only Secrets that are not among the manifests are made; in a cluster the annotations mean nothing.
"""

import re
from dataclasses import dataclass

from paquebot_mta.config.names import AddressError, parse_domain
from paquebot_operator.api.mailservice import MailService
from paquebot_operator.api.table import Table
from paquebot_operator.compile.objects import ObjectKey, Objects, key_of

CERTIFICATES = "paquebot.dev/generate-certificates"
USERS = "paquebot.dev/generate-users"
_NAME = re.compile(r"[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?")
_USER = re.compile(r"[^\s,#:\[\]\x00-\x1f\x7f]{1,254}")


@dataclass(frozen=True)
class WantedCertificate:
    """A certificate Secret for ``hostname``, wanted by the MailService ``owner``."""

    key: ObjectKey
    owner: ObjectKey
    hostname: str
    owner_kind: str = "MailService"


@dataclass(frozen=True)
class WantedUsers:
    """A credentials Secret, wanted by the Table ``owner``: under ``data_key`` a line for each user."""

    key: ObjectKey
    owner: ObjectKey
    data_key: str
    users: tuple[str, ...]
    owner_kind: str = "Table"


Wanted = WantedCertificate | WantedUsers


def wanted_secrets(objects: Objects) -> tuple[Wanted, ...]:
    """Secrets that are asked for and not there; names that can't be meant are passed over."""
    wanted: dict[ObjectKey, Wanted] = {}
    for service in objects.services.values():
        for certificate in _of_service(service):
            wanted.setdefault(certificate.key, certificate)
    for table in objects.tables.values():
        users = _of_table(table)
        if users is not None:
            wanted.setdefault(users.key, users)
    return tuple(wanted[key] for key in sorted(wanted) if key not in objects.secrets)


def _of_service(service: MailService) -> list[WantedCertificate]:
    key = key_of(service)
    names = _listed(service.metadata.annotations.get(CERTIFICATES, ""), _NAME)
    try:
        hostname = parse_domain(service.spec.hostname)
    except AddressError:
        return []  # the compiler says what is wrong with it
    return [WantedCertificate(ObjectKey(key.namespace, name), key, hostname) for name in names]


def _of_table(table: Table) -> WantedUsers | None:
    users = _listed(table.metadata.annotations.get(USERS, ""), _USER)
    ref = table.spec.secret_ref
    if not users or ref is None:
        return None
    key = key_of(table)
    return WantedUsers(ObjectKey(key.namespace, ref.name), key, ref.key, users)


def _listed(text: str, pattern: re.Pattern[str]) -> tuple[str, ...]:
    parts = (part.strip() for part in text.split(","))
    return tuple(dict.fromkeys(part for part in parts if pattern.fullmatch(part)))
