"""What is read of a MailDomain's own status: what was programmed, and what was found in DNS."""

import msgspec

from paquebot_operator.compile.objects import ObjectKey
from paquebot_operator.control.store import Store


class FoundRecord(msgspec.Struct, frozen=True):
    """A record of before."""

    name: str = ""
    type: str = ""
    value: str = ""
    present: str = "Unknown"
    found: str = ""


class DomainStatus(msgspec.Struct, frozen=True, rename="camel"):
    """The part that outlives the operator."""

    programmed_revision: str = ""
    dns_records: tuple[FoundRecord, ...] = ()


def domain_status(store: Store, key: ObjectKey) -> DomainStatus:
    """Read it; a status that is none of ours says nothing."""
    held = store.domains.get(key)
    try:
        return msgspec.json.decode(held.status, type=DomainStatus) if held is not None else DomainStatus()
    except msgspec.MsgspecError:
        return DomainStatus()
