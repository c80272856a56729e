"""What domains publish in DNS: the exact records, whether they are found, and the managed DKIM keys."""

from collections.abc import Callable

from paquebot_operator.cluster.api import Api
from paquebot_operator.compile.objects import ObjectKey
from paquebot_operator.control.clocks import Clock
from paquebot_operator.control.references import References
from paquebot_operator.control.service_state import NO_EXTRA, Extra
from paquebot_operator.control.store import Store


class Publisher:
    """Looks after the publication of all domains."""

    def __init__(
        self, api: Api, store: Store, references: References, clock: Clock, tell: Callable[[ObjectKey], None]
    ) -> None:
        self._clock = clock

    def mark(self) -> None:
        """Something changed."""

    def said_of(self, domain: ObjectKey) -> Extra:
        """What a domain's status says of it."""
        return NO_EXTRA

    async def keep_up(self) -> None:
        """Go on for ever."""
        while True:
            await self._clock.sleep(60)
