"""The transport that drops mail; the dispatcher's log line is all that is left."""

from typing import Final

from paquebot_mta.deliver.transport import Receipt, Task
from paquebot_mta.mail.outcome import Delivered
from paquebot_mta.mail.reply import Reply

_DISCARDED: Final = Delivered(Reply(250, "Discarded", "2.0.0"))


class DiscardTransport:
    """Takes everything and keeps nothing."""

    async def deliver(self, task: Task) -> Receipt:
        """Say that all recipients got it."""
        return Receipt({each.evpid: _DISCARDED for each in task.envelopes})
