"""Both families of a host are asked, and neither waits long for the other."""

import asyncio

import pytest

from paquebot_mta.resolver.questions import Answer, RdType
from paquebot_mta.route.hosts import Addresses, find_addresses

SHORT_SECONDS = 0.02
FOUND: dict[RdType, Answer] = {
    "A": Answer("ok", ("192.0.2.1",)),
    "AAAA": Answer("ok", ("2001:db8::1",)),
}


class Slow:
    """Never answers one type, but says when that question was given up; the other one at once."""

    def __init__(self, silent: RdType, answers: dict[RdType, Answer]) -> None:
        self.given_up = 0
        self._silent = silent
        self._answers = answers

    async def ask(self, name: str, rdtype: RdType) -> Answer:
        """Answer, or wait for ever."""
        if rdtype != self._silent:
            return self._answers[rdtype]
        try:
            await asyncio.Event().wait()
        finally:
            self.given_up += 1
        raise AssertionError(name)


@pytest.mark.parametrize(("silent", "address"), [("A", "2001:db8::1"), ("AAAA", "192.0.2.1")])
async def test_a_silent_family_is_not_waited_for_when_the_other_one_has_addresses(silent: RdType, address: str) -> None:
    resolver = Slow(silent, FOUND)
    async with asyncio.timeout(1.0):
        found = await find_addresses(resolver, "mx.example.test", "IPv6First", SHORT_SECONDS)
    assert found == Addresses((address,), "timeout")
    await asyncio.sleep(0)
    assert resolver.given_up == 1


@pytest.mark.parametrize("status", ["nodata", "servfail"])
async def test_the_only_hope_is_waited_for(status: str) -> None:
    resolver = Slow("AAAA", {"A": Answer(status)})  # type: ignore[arg-type]
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(SHORT_SECONDS * 3):
            await find_addresses(resolver, "mx.example.test", "IPv6First", SHORT_SECONDS)
    await asyncio.sleep(0)
    assert resolver.given_up == 1


async def test_a_family_that_is_only_a_little_later_still_is_first() -> None:
    class Later:
        async def ask(self, _: str, rdtype: RdType) -> Answer:
            await asyncio.sleep(SHORT_SECONDS if rdtype == "AAAA" else 0)
            return FOUND[rdtype]

    found = await find_addresses(Later(), "mx.example.test", "IPv6First", 1.0)
    assert found == Addresses(("2001:db8::1", "192.0.2.1"))
