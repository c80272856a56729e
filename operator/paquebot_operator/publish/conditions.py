"""DNSReady and DKIMReady, from what was found."""

from paquebot_operator.api.common import Condition
from paquebot_operator.api.maildomain import MailDomain
from paquebot_operator.api.status import MAX_RECORDS, DnsRecord
from paquebot_operator.publish import records as planned
from paquebot_operator.publish.managed_keys import DkimKeys
from paquebot_operator.publish.states import RecordState, State

MAX_NAMED = 8
NOT_LOOKED_UP = "not looked up"
WHY = "see spec.dnsCheck of the MailService"


def dns_condition(states: tuple[RecordState, ...]) -> Condition:
    """``DNSReady``: True if every record is there; Unknown if none is known to be wrong, but one could not be asked."""
    if all(each.found == NOT_LOOKED_UP for each in states):
        return Condition(
            type="DNSReady", status="Unknown", reason="NotChecked", message=f"records were {NOT_LOOKED_UP}: {WHY}"
        )
    for state, reason, advice in (
        ("Different", "RecordDifferent", "differ from what status.dnsRecords says"),
        ("Missing", "RecordMissing", "are missing: publish what status.dnsRecords says"),
    ):
        named = _named(states, state)  # type: ignore[arg-type]
        if named:
            return Condition(type="DNSReady", status="False", reason=reason, message=f"{named} {advice}")
    unknown = _named(states, "Unknown")
    if unknown:
        message = f"{unknown} could not be looked up: {next(s.found for s in states if s.state == 'Unknown')}"
        return Condition(type="DNSReady", status="Unknown", reason="LookupFailed", message=message)
    return Condition(type="DNSReady", status="True", reason="DNSReady")


def dkim_condition(domain: MailDomain, keys: DkimKeys, states: tuple[RecordState, ...]) -> Condition | None:
    """``DKIMReady``: True if there is a key to sign with and its record is found; None if DKIM is off."""
    if domain.spec.dkim.mode == "Disabled":
        return None
    if not keys.signing:
        return _dkim("False", "NoKey", keys.trouble or "there is no key yet")
    of_keys = (each for each in states if each.record.purpose == "DKIM")
    found = next((each for each in of_keys if _selector(each) == keys.signing), None)
    if found is None or found.found == NOT_LOOKED_UP:
        return _dkim("Unknown", "NotChecked", f"the record of selector {keys.signing} was {NOT_LOOKED_UP}: {WHY}")
    if found.state == "Present":
        return Condition(type="DKIMReady", status="True", reason="DKIMReady", message=keys.trouble)
    if found.state == "Unknown":
        return _dkim("Unknown", "LookupFailed", f"{found.record.name} could not be looked up: {found.found}")
    return _dkim("False", f"Record{found.state}", f"{found.record.name} is to be published as status.dnsRecords says")


def published_selectors(states: tuple[RecordState, ...]) -> frozenset[str]:
    """Selectors whose records were found: what ``managed_key`` wants to know."""
    return frozenset(_selector(each) for each in states if each.record.purpose == "DKIM" and each.state == "Present")


def record_statuses(states: tuple[RecordState, ...]) -> tuple[DnsRecord, ...]:
    """``status.dnsRecords`` of a MailDomain."""
    return tuple(
        DnsRecord(
            name=each.record.name,
            type=each.record.type,
            value=each.record.value,
            present=each.state,
            found="" if each.state == "Present" else each.found,
        )
        for each in states[:MAX_RECORDS]
    )


def not_checked(records: tuple[planned.DnsRecord, ...]) -> tuple[RecordState, ...]:
    """States before the first check, or where checks are off: what to publish is told anyway."""
    return tuple(RecordState(record, "Unknown", NOT_LOOKED_UP) for record in records)


def _selector(state: RecordState) -> str:
    return state.record.name.partition("._domainkey.")[0]


def _dkim(status: str, reason: str, message: str) -> Condition:
    return Condition(type="DKIMReady", status=status, reason=reason, message=message)  # type: ignore[arg-type]


def _named(states: tuple[RecordState, ...], state: State) -> str:
    names = [f"{each.record.purpose} {each.record.name}" for each in states if each.state == state]
    more = len(names) - MAX_NAMED
    return ", ".join(names[:MAX_NAMED]) + (f" and {more} more" if more > 0 else "")
