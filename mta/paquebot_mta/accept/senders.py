"""Who may send as whom: the senders map of a listener, else one's own address."""

from paquebot_mta.mail.address import Address, AddressError, parse_address
from paquebot_mta.table.lookup import Table
from paquebot_mta.table.mailaddr import MailaddrIndex


async def may_send(user: str, reverse_path: Address | None, senders: Table | None) -> bool:
    """Judge whether an authenticated user may use a reverse-path; the null one is for everybody (RFC 8098, 3).

    Args:
        user: authenticated name.
        reverse_path: as MAIL gave it.
        senders: user -> addresses separated by commas, as ``mailaddr`` spells them; None: if the user's name is an
            address, only that one, else any.

    Raises:
        TableError: the map gave no answer.
    """
    if reverse_path is None:
        return True
    if senders is None:
        return _is_own(user, reverse_path)
    allowed = await senders.lookup("mailaddrmap", user)
    entries = tuple(entry.strip() for entry in (allowed or "").split(",") if entry.strip())
    return MailaddrIndex(entries).find(f"{reverse_path.local_part}@{reverse_path.domain}") is not None


def _is_own(user: str, reverse_path: Address) -> bool:
    try:
        return parse_address(user).key == reverse_path.key
    except AddressError:
        return "@" not in user
