"""All about what one domain publishes, in one step: its keys, its records, what DNS has, and what to say of it."""

import asyncio
from dataclasses import dataclass
from datetime import datetime

from paquebot_operator.api import status
from paquebot_operator.api.common import Condition
from paquebot_operator.api.core import Secret
from paquebot_operator.api.decode import decode
from paquebot_operator.api.maildomain import MailDomain
from paquebot_operator.api.mailservice import MailService
from paquebot_operator.desired.metadata import Manifest
from paquebot_operator.desired.names import dkim_secret_name
from paquebot_operator.publish.conditions import (
    dkim_condition,
    dns_condition,
    not_checked,
    published_selectors,
    record_statuses,
)
from paquebot_operator.publish.dkim_record import DkimKeyError
from paquebot_operator.publish.managed_keys import DkimKeys, Generate, generate, keys_of_secret, managed_key
from paquebot_operator.publish.mta_sts import mta_sts_policy
from paquebot_operator.publish.questions import Asks
from paquebot_operator.publish.records import dns_records
from paquebot_operator.publish.states import RecordState, check


@dataclass(frozen=True)
class Publication:
    """What is to be done and said about one domain.

    Attributes:
        secret: of managed DKIM keys, to be applied; None if it is as it should be. Keys count once it is applied.
        states: of all records, in order.
        conditions: DNSReady, and DKIMReady if DKIM is on.
        mta_sts_policy: ``status.mtaStsPolicy``: what the domain's web server must serve; empty if MTA-STS is off.
    """

    secret: Manifest | None
    states: tuple[RecordState, ...]
    conditions: tuple[Condition, ...]
    mta_sts_policy: str

    @property
    def dns_records(self) -> tuple[status.DnsRecord, ...]:
        """``status.dnsRecords``."""
        return record_statuses(self.states)


def secret_name(domain: MailDomain) -> str | None:
    """The Secret that holds a domain's DKIM keys, managed or given; None if DKIM is off."""
    if domain.spec.dkim.mode == "Disabled":
        return None
    ref = domain.spec.dkim.secret_ref
    return dkim_secret_name(domain.metadata.name) if ref is None else ref.name


async def publication(
    domain: MailDomain,
    service: MailService,
    secret: Secret | None,
    *,
    asks: Asks | None,
    now: datetime,
    before: tuple[RecordState, ...] = (),
    generate: Generate = generate,
) -> Publication:
    """Look after one domain.

    Args:
        service: that carries the domain.
        secret: ``secret_name(domain)`` as the API server has it now.
        asks: None if nobody is to be asked: ``dnsCheck.mode`` Disabled.
        now: aware.
        before: states of the last time: the next DKIM key is used when its record was found.
    """
    manifest, keys = await _keys(domain, secret, now, before, generate)
    records = dns_records(domain, service, keys.published)
    states = not_checked(records) if asks is None else await check(records, asks)
    found = (dns_condition(states), dkim_condition(domain, keys, states))
    conditions = tuple(each for each in found if each is not None)
    return Publication(manifest, states, conditions, mta_sts_policy(domain, service) or "")


async def _keys(
    domain: MailDomain, secret: Secret | None, now: datetime, before: tuple[RecordState, ...], generate: Generate
) -> tuple[Manifest | None, DkimKeys]:
    try:
        manifest = await managed_key(domain, secret, now, published=published_selectors(before), generate=generate)
    except DkimKeyError as error:
        return None, DkimKeys(trouble=str(error))
    if manifest is not None:
        decoded = decode(manifest)
        secret = decoded if isinstance(decoded, Secret) else None
    return manifest, await asyncio.to_thread(keys_of_secret, domain, secret)
