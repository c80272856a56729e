"""What is told of an attempt: who brought the message, and whether its recipient is one of ours."""

import pytest

from paquebot_mta.telemetry.events import DeliveryAttempt
from tests.mta.dispatch.plant import DELIVERED, always
from tests.mta.dispatch.test_dispatcher import running, to


async def _told(client_address: str, user: str, recipient: str) -> DeliveryAttempt:
    """Deliver a message, and give what is told of it."""
    async with running(always(DELIVERED)) as scene:
        await scene.queue(to(recipient), client_address=client_address, user=user)
        await scene.settle()
    (told,) = (each for each in scene.events if isinstance(each, DeliveryAttempt))
    return told


@pytest.mark.parametrize(
    ("client_address", "user", "sender"),
    [("192.0.2.1", "", "stranger"), ("192.0.2.1", "joe", "user"), ("local", "", "local"), ("local", "joe", "user")],
)
async def test_an_attempt_says_who_brought_the_message(client_address: str, user: str, sender: str) -> None:
    assert (await _told(client_address, user, "a@one.test")).sender == sender


@pytest.mark.parametrize(("recipient", "hosted"), [("a@one.test", False), ("alice@local.test", True)])
async def test_an_attempt_says_whether_the_recipient_is_in_a_hosted_domain(recipient: str, hosted: bool) -> None:
    assert (await _told("192.0.2.1", "", recipient)).hosted is hosted
