"""Who is given the stream of report events of a MailService, apart from filters."""

from typing import Annotated, Literal

from msgspec import Meta

from paquebot_operator.api.common import Label, Text
from paquebot_operator.api.validation import ApiValue, exactly_one

KINDS = ("command", "socket", "file")
EventName = Literal[
    "link-connect", "link-disconnect", "link-greeting", "link-identify", "link-tls", "link-auth", "tx-reset",
    "tx-begin", "tx-mail", "tx-rcpt", "tx-envelope", "tx-data", "tx-commit", "tx-rollback", "protocol-client",
    "protocol-server", "filter-report", "filter-response", "timeout",
]  # fmt: skip


class ReportFile(ApiValue, frozen=True, kw_only=True):
    """A file that is rotated; each pod and each of its workers has one of its own, with their names behind it."""

    path: Annotated[Text, Meta(description="Path, on the queue's volume or another that the pods may write to.")]
    max_bytes: Annotated[int, Meta(ge=65_536, le=1_099_511_627_776, description="Put aside at this size.")] = (
        104_857_600
    )
    keep: Annotated[int, Meta(ge=0, le=1_000, description="Number of old ones that stay.")] = 5


class ReportSubscriber(ApiValue, frozen=True, kw_only=True):
    """A subscriber of report events; one that is slow loses events, never anyone else's time."""

    validations = (exactly_one(*KINDS),)

    name: Annotated[Label, Meta(description="Name, for logs.")]
    command: Annotated[
        Annotated[tuple[Text, ...], Meta(min_length=1, max_length=32)] | None,
        Meta(description="Program and arguments, run in the pod, that reads them from its standard input."),
    ] = None
    socket: Annotated[Text | None, Meta(description="Path of a unix socket in the pod where somebody listens.")] = None
    file: Annotated[ReportFile | None, Meta(description="File that they are written to.")] = None
    subsystems: Annotated[
        tuple[Literal["smtp-in", "smtp-out"], ...],
        Meta(min_length=1, max_length=2, description="Sessions with clients, with next hops, or both."),
    ] = ("smtp-in", "smtp-out")
    events: Annotated[tuple[EventName, ...], Meta(max_length=19, description="Names of events; all if empty.")] = ()
