"""Checks of tables, and of names that point at tables and certificates."""

import ipaddress
from collections.abc import Container, Mapping

from paquebot_mta.config.check_keys import key_faults
from paquebot_mta.config.errors import Faults
from paquebot_mta.config.service import Certificate
from paquebot_mta.config.tables import Table


class Names:
    """What names may point at; each check notes a fault where a name points nowhere."""

    def __init__(
        self,
        tables: Mapping[str, Table],
        certificates: Mapping[str, Certificate],
        faults: Faults,
        filters: Container[str] = (),
    ) -> None:
        self._tables = tables
        self._certificates = certificates
        self._filters = filters
        self.faults = faults

    def table(self, name: str, path: str, *services: str) -> None:
        """Check the name of a table, empty for none; ``services``: it must serve one of them, if any is given."""
        if not name:
            return
        table = self._tables.get(name)
        if table is None:
            self.faults.add(path, f"there is no table {name!r}")
        elif services and not set(services) & set(table.services):
            self.faults.add(path, f"the table {name!r} doesn't have the service {' or '.join(services)}")

    def filters(self, names: tuple[str, ...], path: str) -> None:
        """Check a list of names of filters: each is there, and but once."""
        for place, name in enumerate(names):
            if name not in self._filters:
                self.faults.add(f"{path}[{place}]", f"there is no filter {name!r}")
            elif name in names[:place]:
                self.faults.add(f"{path}[{place}]", f"the filter {name!r} is there twice")

    def certificate(self, name: str, path: str, *, with_key: bool = False) -> None:
        """Check the name of a certificate or bundle, empty for none."""
        if not name:
            return
        certificate = self._certificates.get(name)
        if certificate is None:
            self.faults.add(path, f"there is no certificate {name!r}")
        elif with_key and not certificate.key_pem:
            self.faults.add(path, f"the certificate {name!r} has no key")


def check_table(table: Table, path: str, faults: Faults) -> None:
    """Check a table: services, exactly one back end, keys that its services and match mode can read."""
    faults.check(that=bool(table.services), path=f"{path}.services", reason="at least one service must be given")
    if table.inline is None:
        faults.add(path, "exactly one back end must be given: inline")
        return
    keys = (*table.inline.keys, *table.inline.entries)
    for place, reason in key_faults(keys, table.services, table.match_mode):
        faults.add(f"{path}.inline", f"entry {keys[place]!r}: {reason}")


def network_fault(text: str) -> str:
    """Say why a text is no network or address (``192.0.2.0/24``, ``2001:db8::1``, ``local``), empty if it is one."""
    try:
        ipaddress.ip_network(text.removeprefix("!").strip("[]"), strict=False)
    except ValueError:
        return "" if text == "local" else f"entry {text!r}: not a network or an address"
    return ""
