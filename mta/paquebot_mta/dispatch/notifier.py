"""Puts delivery status notifications into the queue: one for each message and kind, of many recipients."""

import asyncio
from collections.abc import Callable, Sequence

from paquebot_mta.config.service import MtaConfig
from paquebot_mta.dispatch.settle import Notification
from paquebot_mta.expand.results import Expander
from paquebot_mta.mail.envelope import Message
from paquebot_mta.mail.ids import RandomBits
from paquebot_mta.spool.store import Spool
from paquebot_mta.telemetry.bus import Emit


class BounceNotifier:
    def __init__(
        self,
        *,
        spool: Spool,
        expander: Callable[[], Expander],
        config: Callable[[], MtaConfig],
        emit: Emit,
        clock: Callable[[], float],
        randbits: RandomBits,
        on_accepted: Callable[[Message], None],
    ) -> None:
        pass

    def hurry(self) -> None:
        pass

    async def notify(self, message: Message, notifications: Sequence[Notification]) -> None:
        pass
