"""What each kind shows and offers beside its schema: names, columns, fields to select by, scale."""

from collections.abc import Mapping
from dataclasses import dataclass

from paquebot_operator.api.maildomain import MailDomain
from paquebot_operator.api.mailfilter import MailFilter
from paquebot_operator.api.mailservice import MailService
from paquebot_operator.api.status import MailDomainStatus, MailServiceStatus, ObjectStatus
from paquebot_operator.api.table import Table
from paquebot_operator.api.validation import ApiValue


@dataclass(frozen=True)
class Column:
    """A column of ``kubectl get``; ``wide`` ones are shown with ``-o wide`` only."""

    name: str
    json_path: str
    type: str = "string"
    wide: bool = False


@dataclass(frozen=True)
class Kind:
    """A kind of the API.

    Attributes:
        model, status: what is written by people, and by the operator.
        selectable: paths that ``kubectl get --field-selector`` takes.
        scale: paths of wanted number, found number and selector.
    """

    model: type[MailService | MailDomain | MailFilter | Table]
    status: type[ApiValue]
    short_name: str
    columns: tuple[Column, ...]
    selectable: tuple[str, ...] = ()
    scale: Mapping[str, str] | None = None

    @property
    def name(self) -> str:
        """The kind's name."""
        return self.model.__name__


def _condition(name: str, type_: str, part: str, *, wide: bool = False) -> Column:
    return Column(name, f".status.conditions[?(@.type=='{type_}')].{part}", wide=wide)


_READY = _condition("Ready", "Ready", "status")
_REASON = _condition("Reason", "Ready", "reason")
_AGE = Column("Age", ".metadata.creationTimestamp", "date")
_MESSAGE = _condition("Message", "Ready", "message", wide=True)

KINDS = (
    Kind(
        MailService,
        MailServiceStatus,
        "ms",
        (
            Column("Hostname", ".spec.hostname"),
            _READY,
            _REASON,
            Column("Pods", ".status.readyReplicas", "integer"),
            Column("Domains", ".status.domains.programmed", "integer"),
            _AGE,
            Column("Wanted", ".spec.replicas", "integer", wide=True),
            Column("Config", ".status.configDigest", wide=True),
            _MESSAGE,
        ),
        selectable=(".spec.hostname",),
        scale={
            "specReplicasPath": ".spec.replicas",
            "statusReplicasPath": ".status.replicas",
            "labelSelectorPath": ".status.selector",
        },
    ),
    Kind(
        MailDomain,
        MailDomainStatus,
        "md",
        (
            Column("Domain", ".spec.domain"),
            Column("Service", ".spec.serviceRef.name"),
            _READY,
            _REASON,
            Column("Pods", ".status.programmedPods"),
            _condition("DNS", "DNSReady", "status"),
            _AGE,
            Column("Revision", ".status.programmedRevision", wide=True),
            _MESSAGE,
        ),
        selectable=(".spec.domain", ".spec.serviceRef.name", ".spec.serviceRef.namespace"),
    ),
    Kind(
        Table,
        ObjectStatus,
        "tbl",
        (
            Column("Services", ".spec.services"),
            _READY,
            _REASON,
            _AGE,
            Column("Match", ".spec.matchMode", wide=True),
            _MESSAGE,
        ),
    ),
    Kind(
        MailFilter,
        ObjectStatus,
        "mf",
        (Column("Mode", ".spec.mode"), _READY, _REASON, _AGE, _MESSAGE),
        selectable=(".spec.mode",),
    ),
)
