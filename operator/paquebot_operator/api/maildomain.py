"""MailDomain: one hosted domain attached to a MailService."""

from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from paquebot_operator.api.actions import Delivery
from paquebot_operator.api.common import NO_SPACE, FilterRefs, Hostname, LocalRef, ObjectMeta, ServiceRef, Status, Text
from paquebot_operator.api.publication import Publish
from paquebot_operator.api.signing import Dkim
from paquebot_operator.api.validation import ApiValue, Rule, immutable, unique

LocalPart = Annotated[str, Meta(min_length=1, max_length=64, pattern="^[^@" + NO_SPACE.removeprefix("^[^"))]
Targets = Annotated[tuple[Text, ...], Meta(min_length=1, max_length=100)]


class Alias(ApiValue, frozen=True, kw_only=True):
    """Other names for mailboxes, and lists."""

    name: Annotated[LocalPart, Meta(description="Local-part, with or without a sub-address.")]
    targets: Annotated[Targets, Meta(description="Mailboxes, addresses, or error:CODE text.")]


class MailDomainSpec(ApiValue, frozen=True, kw_only=True):
    """What is done with mail for a domain."""

    validations = (
        unique("aliases", "name"),
        Rule(
            cel="!self.acceptAnyMailbox || (self.mailboxes.size() == 0 && !has(self.mailboxTableRef) && "
            "self.catchAll.size() == 0)",
            message="acceptAnyMailbox excludes mailboxes, mailboxTableRef and catchAll",
            holds=lambda spec: (
                not spec.accept_any_mailbox
                or not (spec.mailboxes or spec.mailbox_table_ref is not None or spec.catch_all)
            ),
        ),
    )

    service_ref: Annotated[ServiceRef, Meta(description="The MailService that carries the domain.")]
    domain: Annotated[
        Hostname,
        Meta(
            description="The domain, as U-labels or A-labels.",
            extra_json_schema=immutable("domain can't be changed: make another MailDomain"),
        ),
    ]
    delivery: Annotated[
        Delivery, Meta(description="How its mailboxes are reached: relay, lmtp, maildir, mbox or discard.")
    ]
    mailboxes: Annotated[tuple[LocalPart, ...], Meta(max_length=5_000, description="Local-parts that exist.")] = ()
    mailbox_table_ref: Annotated[LocalRef | None, Meta(description="Table (service userinfo) of more mailboxes.")] = (
        None
    )
    accept_any_mailbox: Annotated[bool, Meta(description="Any local-part is a mailbox: the next server decides.")] = (
        False
    )
    aliases: Annotated[
        tuple[Alias, ...],
        Meta(max_length=5_000, description="Other names for mailboxes, and lists; they win over mailboxes."),
    ] = ()
    alias_table_ref: Annotated[LocalRef | None, Meta(description="Table (service alias) of more aliases.")] = None
    catch_all: Annotated[tuple[Text, ...], Meta(max_length=100, description="Targets for anything else.")] = ()
    sub_address_delimiter: Annotated[
        str, Meta(max_length=1, pattern=r"^[-+=_.#]?$", description="Separates the sub-address; empty turns it off.")
    ] = "+"
    filter_refs: Annotated[FilterRefs, Meta(description="MailFilters for mail to this domain, in order.")] = ()
    dkim: Annotated[Dkim, Meta(description="DKIM signatures of mail from the domain.")] = Dkim()
    publish: Annotated[Publish, Meta(description="What should be in the DNS; status.dnsRecords says what is.")] = (
        Publish()
    )


class MailDomain(ApiValue, frozen=True, kw_only=True):
    """A domain that a MailService takes mail for.

    It says which mailboxes and aliases there are, how mailboxes are reached, and what should be in the DNS; its status
    says what is, record by record.
    """

    plural: ClassVar[str] = "maildomains"

    api_version: Literal["paquebot.dev/v1alpha1"]
    kind: Literal["MailDomain"]
    metadata: ObjectMeta
    spec: Annotated[MailDomainSpec, Meta(description="What is wanted.")]
    status: Status = None
