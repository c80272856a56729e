"""MTA-STS: the policy that a domain's web server hands out, and its id (RFC 8461)."""

import hashlib

from paquebot_mta.config.names import AddressError, parse_domain
from paquebot_operator.api.maildomain import MailDomain
from paquebot_operator.api.mailservice import MailService
from paquebot_operator.publish.exchangers import mail_exchangers

_ID_CHARACTERS = 32


def mta_sts_policy(domain: MailDomain, service: MailService) -> str | None:
    """The text to serve at ``mta_sts_url``; None if MTA-STS is off or a name in it is none.

    Paquebot serves no web pages: any static web server with a certificate for that host does.
    """
    wanted = domain.spec.publish.mta_sts
    if wanted.mode == "Disabled":
        return None
    try:
        hosts = [each.host for each in mail_exchangers(domain, service)]
    except AddressError:
        return None
    policy = [f"mode: {wanted.mode.lower()}", *(f"mx: {host}" for host in hosts), f"max_age: {wanted.max_age_seconds}"]
    return "".join(f"{line}\r\n" for line in ("version: STSv1", *policy))


def mta_sts_url(domain: MailDomain) -> str:
    """Where senders fetch the policy (RFC 8461, 3.3).

    Raises AddressError if the domain is no domain name.
    """
    return f"https://mta-sts.{parse_domain(domain.spec.domain)}/.well-known/mta-sts.txt"


def mta_sts_id(domain: MailDomain, service: MailService) -> str:
    """Names the policy: another text has another id, so that senders fetch it again (RFC 8461, 3.1)."""
    policy = mta_sts_policy(domain, service) or ""
    return hashlib.sha256(policy.encode()).hexdigest()[:_ID_CHARACTERS]
