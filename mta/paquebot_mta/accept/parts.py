"""The parts of a transaction: recipients whose copy of the message is filtered alike.

A hosted domain's filters see its recipients only, and what they decide holds for those only. So the recipients of each
such domain have a message of their own in the queue; all others share one. Most transactions are of one part.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Final

from paquebot_mta.filter.chain import Chain
from paquebot_mta.filter.contract import Facts
from paquebot_mta.mail.envelope import Envelope
from paquebot_mta.mail.reply import Reply
from paquebot_mta.spool.store import Draft

MAX_PARTS: Final = 16
"""More domains with filters than these are for another transaction (RFC 5321, 4.5.3.1.10)."""


@dataclass(eq=False)
class Part:
    """Some recipients, and their message.

    Attributes:
        chain: of their domain, None for those whose domain has none.
        recipients: as filters are told; envelopes: one for each destination.
        envelopes_bytes: what they take in the queue.
        reverse_path: instead of the transaction's.
        junk: their copy is marked. refusal: they don't get it.
    """

    draft: Draft
    chain: Chain | None = None
    recipients: list[str] = field(default_factory=list)
    envelopes: list[Envelope] = field(default_factory=list)
    envelopes_bytes: int = 0
    junk: bool = False
    refusal: Reply | None = None
    reverse_path: str | None = None


def facts_about(facts: Facts, part: Part | None) -> Facts:
    """What a domain's filters may know: of the recipients only its own."""
    return replace(facts, recipients=[] if part is None else part.recipients)


def remove_recipient(parts: Iterable[Part], address: str) -> None:
    """Take a recipient's envelopes away; its reply stands."""
    for part in parts:
        part.envelopes = [each for each in part.envelopes if each.recipient.lower() != address.lower()]
