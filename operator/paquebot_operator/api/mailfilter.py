"""MailFilter: one filter, or several in order."""

from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from paquebot_operator.api.common import LocalRef, ObjectMeta, Status
from paquebot_operator.api.decisions import Builtin
from paquebot_operator.api.filters import Dnsbl, Greylist, Milter, Process, Rspamd, SenderScore
from paquebot_operator.api.validation import ApiValue, exactly_one

KINDS = ("builtin", "process", "rspamd", "dnsbl", "senderScore", "greylist", "milter", "chain")
_ATTRIBUTES = ("builtin", "process", "rspamd", "dnsbl", "sender_score", "greylist", "milter", "chain")


class MailFilterSpec(ApiValue, frozen=True, kw_only=True):
    """One filter, or a chain: exactly one kind."""

    validations = (exactly_one(*KINDS, attributes=_ATTRIBUTES),)

    mode: Annotated[
        Literal["Enforce", "Shadow", "Junk"],
        Meta(description="Shadow: decisions are logged and counted only. Junk: what it refuses is junk."),
    ] = "Enforce"
    builtin: Annotated[Builtin | None, Meta(description="A condition and an action.")] = None
    process: Annotated[Process | None, Meta(description="A program.")] = None
    rspamd: Annotated[Rspamd | None, Meta(description="rspamd.")] = None
    dnsbl: Annotated[Dnsbl | None, Meta(description="DNS lists.")] = None
    sender_score: Annotated[SenderScore | None, Meta(description="Sender Score.")] = None
    greylist: Annotated[Greylist | None, Meta(description="Greylisting.")] = None
    milter: Annotated[Milter | None, Meta(description="A milter.")] = None
    chain: Annotated[
        Annotated[tuple[LocalRef, ...], Meta(min_length=1, max_length=32)] | None,
        Meta(description="MailFilters in order; none of them a chain."),
    ] = None


class MailFilter(ApiValue, frozen=True, kw_only=True):
    """A filter of mail, or several in order.

    Listeners, MailDomains and relay actions name it in their filterRefs; by itself it does nothing.
    """

    plural: ClassVar[str] = "mailfilters"

    api_version: Literal["paquebot.dev/v1alpha1"]
    kind: Literal["MailFilter"]
    metadata: ObjectMeta
    spec: Annotated[MailFilterSpec, Meta(description="What is wanted.")]
    status: Status = None
