"""What the loops share: the cluster, what is known of it, and where statuses, events and counts go."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from paquebot_operator.cluster.api import Api
from paquebot_operator.cluster.pods import AsksPods
from paquebot_operator.compile.objects import ObjectKey
from paquebot_operator.control.clocks import Clock
from paquebot_operator.control.metrics import Metrics
from paquebot_operator.control.owned import Owned
from paquebot_operator.control.references import References
from paquebot_operator.control.service_state import Extra
from paquebot_operator.control.status_queue import StatusQueue
from paquebot_operator.control.store import Store
from paquebot_operator.desired.context import RUNBOOKS


class Publication(Protocol):
    """What is published of domains."""

    def said_of(self, domain: ObjectKey) -> Extra:
        """What a domain's status says of it."""

    def judged(self, domains: Iterable[ObjectKey]) -> None:
        """A pass ended that found these domains other than the one before."""


@dataclass(frozen=True)
class Settings:
    """What a person chose.

    Attributes:
        image: of the MTA.
        namespace: the operator's own.
        namespaces: that are watched; empty is all.
        grace_seconds: a status waits that long for pods to take a change, so that most changes cost one write.
        runbooks: URL of the pages that alerts lead to.
    """

    image: str
    namespace: str
    namespaces: tuple[str, ...] = ()
    resync_seconds: float = 300.0
    grace_seconds: float = 2.0
    runbooks: str = RUNBOOKS


@dataclass(frozen=True)
class Parts:
    """Everything that a loop needs."""

    api: Api
    asks: AsksPods
    store: Store
    references: References
    owned: Owned
    statuses: StatusQueue
    publication: Publication
    metrics: Metrics
    clock: Clock
    settings: Settings
    serves: Callable[[str], bool]
