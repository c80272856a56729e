"""What the contract says of one object by itself.

Pods take a configuration as a whole or not at all: what they would refuse has to be found where it comes from, or one
object holds up all the others of its service.
"""

from typing import Final

from paquebot_mta.config.check_filters import check_filters
from paquebot_mta.config.check_tables import Names, check_table
from paquebot_mta.config.codec import encode, spelling_fault
from paquebot_mta.config.directory import MAX_FILE_BYTES
from paquebot_mta.config.domains import Domain
from paquebot_mta.config.errors import Faults
from paquebot_mta.config.tables import Table
from paquebot_mta.config.validate import check_domain
from paquebot_operator.compile.conditions import Report
from paquebot_operator.compile.last_good import Used
from paquebot_operator.compile.names import INVALID

TABLE_BYTES: Final = MAX_FILE_BYTES - 1_024
"""A file holds a table's name, too."""


def domain_faults(domain: Domain, used: Used) -> Faults:
    """Check a domain with what it uses; paths are nearly those of a MailDomain."""
    faults = Faults()
    check_domain(domain, "spec", Names(used.tables, used.certificates, faults, used.filters))
    faults.add_if("spec", spelling_fault(domain))
    return faults


def filter_faults(name: str, kind: str, used: Used) -> Faults:
    """Check one of the filters that are used; ``kind`` is the field of a MailFilter that holds it."""
    faults, spelled = Faults(), Faults()
    each = used.filters[name]
    check_filters({name: each}, "", Names(used.tables, used.certificates, faults, used.filters))
    for fault in faults.found:
        spelled.add(f"spec.{kind}{fault.path.removeprefix(f'.{name}.kind')}", fault.reason)
    spelled.add_if("spec", spelling_fault(each))
    return spelled


def refuse_table(table: Table, report: Report) -> None:
    """Refuse a table that no pod would take, whoever names it; its keys are checked already."""
    faults = Faults()
    check_table(table, "spec", faults)
    reason = spelling_fault(table)
    if faults.found or reason:
        report.refuse("InvalidTable", "spec", "pods would not take it" + (f": {reason}" if reason else ""))
        return
    size = len(encode(table))
    if size > TABLE_BYTES:
        message = (
            f"{size} bytes when it is spelled for pods, of {TABLE_BYTES} that it may have: split it, or say with fewer "
            "keys what it says"
        )
        report.refuse("TableTooBig", "spec", message)


def fits(domain: Domain, used: Used) -> bool:
    """Whether the contract takes a domain with what it uses."""
    found = [*domain_faults(domain, used).found]
    return not found and not any(filter_faults(name, "", used).found for name in used.filters)


def refuse(faults: Faults, report: Report) -> None:
    """Put what the contract found into a report."""
    for fault in faults.found:
        report.refuse(INVALID, fault.path, fault.reason)
