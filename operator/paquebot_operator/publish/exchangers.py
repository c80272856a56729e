"""The hosts that take a domain's mail."""

from dataclasses import dataclass

from paquebot_mta.config.names import parse_domain
from paquebot_operator.api.maildomain import MailDomain
from paquebot_operator.api.mailservice import MailService

DEFAULT_PREFERENCE = 10


@dataclass(frozen=True)
class Exchanger:
    """An MX host; the lowest preference is tried first (RFC 5321, 5.1)."""

    preference: int
    host: str

    def __str__(self) -> str:
        return f"{self.preference} {self.host}"


def mail_exchangers(domain: MailDomain, service: MailService) -> tuple[Exchanger, ...]:
    """The domain's own list, or the service's host name alone; sorted.

    Raises AddressError if a host is no domain name.
    """
    wanted = domain.spec.publish.mx
    if not wanted:
        return (Exchanger(DEFAULT_PREFERENCE, parse_domain(service.spec.hostname)),)
    found = {Exchanger(each.priority, parse_domain(each.host)) for each in wanted}
    return tuple(sorted(found, key=lambda each: (each.preference, each.host)))
