"""Names in custom resources, judged by the one parser; what is wrong goes into the report."""

import ipaddress

from paquebot_mta.config.names import AddressError, parse_address, parse_domain
from paquebot_operator.compile.conditions import Report

INVALID = "UnsupportedValue"


def domain_name(text: str, path: str, report: Report) -> str:
    """Canonical spelling of a domain name (A-labels, lower case); empty if it is none."""
    try:
        name = parse_domain(text)
    except AddressError as error:
        report.refuse(INVALID, path, f"not a domain name: {error}")
        return ""
    if name.startswith("["):
        report.refuse(INVALID, path, "an address literal is no domain name")
        return ""
    return name


def optional_domain_name(text: str | None, path: str, report: Report) -> str:
    """As ``domain_name``; empty for None."""
    return "" if text is None else domain_name(text, path, report)


def host(text: str, path: str, report: Report) -> str:
    """A name, an IPv4 address or an ``[address]``; empty if it is none."""
    if not text.startswith("["):
        return domain_name(text, path, report)
    address = ip_address(text[1:-1] if text.endswith("]") else "", path, report)
    return f"[{address}]" if address else ""


def ip_address(text: str, path: str, report: Report) -> str:
    """Canonical spelling of an IP address without a scope; empty if it is none."""
    try:
        return str(ipaddress.ip_address(text.replace("%", "no scopes")))
    except ValueError:
        report.refuse(INVALID, path, "not an IP address")
        return ""


def network(text: str, path: str, report: Report) -> str:
    """Canonical spelling of a network in CIDR, or of one address; empty if it is neither."""
    try:
        return str(ipaddress.ip_network(text))
    except ValueError as error:
        report.refuse(INVALID, path, f"not a network: {error}")
        return ""


def local_part(text: str, domain: str, path: str, report: Report) -> str:
    """A local-part folded to lower case; empty if it is none."""
    try:
        return parse_address(f"{text}@{domain or 'localhost'}").local_part.lower()
    except AddressError as error:
        report.refuse(INVALID, path, f"not a local-part: {error}")
        return ""


def address(text: str, path: str, report: Report) -> str:
    """Canonical spelling of an address; empty if it is none."""
    try:
        return str(parse_address(text))
    except AddressError as error:
        report.refuse(INVALID, path, f"not an address: {error}")
        return ""
