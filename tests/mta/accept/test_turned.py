"""A listener that gets or loses a proxy, or TLS from the first byte, while it runs: nobody who connects is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
import uvloop

from paquebot_mta.accept.policy import AcceptPolicy
from paquebot_mta.config.listeners import Listener, ProxyProtocol, ServerTls
from paquebot_mta.telemetry.events import LinkConnect
from tests.mta.accept.conftest import Identity
from tests.mta.accept.support import Client, Served, make_policy, serve

HEADER = "PROXY TCP4 192.0.2.7 198.51.100.2 4711 25\r\n"
PLAIN = Listener(name="mx")
PROXIED = Listener(name="mx", proxy_protocol=ProxyProtocol(trusted=("127.0.0.0/8",)))
SECURE = Listener(name="mx", tls=ServerTls(mode="Implicit", certificates=("main",)))
OTHER = Listener(name="other")
MESSAGE = b"a: b\r\n\r\n.\r\n"


def policy(served: Served, *listeners: Listener, identity: Identity | None = None) -> AcceptPolicy:
    certificates = {"main": identity.certificate} if identity is not None else None
    return make_policy(served.rules, *listeners, certificates=certificates)


async def turn(served: Served, *listeners: Listener, identity: Identity | None = None) -> None:
    await served.acceptor.replace_policy(policy(served, *listeners, identity=identity))


async def greeted_through_a_proxy(served: Served) -> Client:
    client = await served.connect()
    await client.send(HEADER)
    await client.greet()
    return client


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Callable[[Awaitable[None]], None]:
    def run(work: Awaitable[None]) -> None:
        async def all_of_it() -> None:
            await work

        with asyncio.Runner(loop_factory=uvloop.new_event_loop if request.param else asyncio.new_event_loop) as runner:
            runner.run(all_of_it())

    return run


Run = Callable[[Awaitable[None]], None]


def test_a_listener_that_gets_a_proxy_believes_it_from_the_next_connection_on(run: Run) -> None:
    async def work() -> None:
        async with serve(PLAIN, OTHER) as served:
            before, where = await served.greeted(), served.acceptor.addresses()
            await before.envelope()
            await turn(served, PROXIED, OTHER)
            assert served.acceptor.addresses() == where
            await greeted_through_a_proxy(served)
            assert served.of(LinkConnect)[-1].source == "192.0.2.7:4711"
            assert (await before.data(MESSAGE)).startswith("250")
            await turn(served, PLAIN, OTHER)
            await served.greeted()
            assert served.of(LinkConnect)[-1].source.startswith("127.0.0.1:")

    run(work())


def test_a_listener_that_gets_tls_from_the_first_byte_speaks_it_and_gives_it_up_again(
    run: Run, identity: Identity
) -> None:
    async def work() -> None:
        async with serve(PLAIN, certificates={"main": identity.certificate}) as served:
            before = await served.greeted()
            await turn(served, SECURE, identity=identity)
            secure = await served.connect(tls=identity.client())
            await secure.greet()
            await turn(served, PLAIN, identity=identity)
            await (await served.greeted()).envelope()
            for client in (before, secure):
                await client.envelope()
                assert (await client.data(MESSAGE)).startswith("250")

    run(work())


def test_a_listener_on_a_path_goes_on_with_what_is_asked_of_it(
    run: Run, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = f"unix:{tmp_path_factory.mktemp('turned')}/mx"

    async def work() -> None:
        async with serve(Listener(name="mx", address=path)) as served:
            secure = Listener(name="mx", address=path, proxy_protocol=PROXIED.proxy_protocol)
            await turn(served, secure)
            assert await (await served.connect()).closed()
            await turn(served, Listener(name="mx", address=path))
            await served.greeted()

    run(work())


def test_nobody_who_connects_while_a_listener_turns_is_lost_nor_served_the_other_way(run: Run) -> None:
    async def deliver(served: Served, *, proxied: bool) -> str:
        """A client that says the header as soon as it may, if it is to say it."""
        client = await served.connect()
        if proxied:
            await client.send(HEADER)
        await client.greet()
        await client.envelope()
        return (await client.data(MESSAGE))[:3]

    async def work() -> None:
        async with serve(PLAIN, OTHER) as served:
            for proxied in (True, False) * 5:
                waiting = asyncio.gather(*(served.connect("other") for _ in range(8)))
                turning = asyncio.ensure_future(turn(served, PROXIED if proxied else PLAIN, OTHER))
                others = await waiting
                await turning
                codes = await asyncio.gather(*(deliver(served, proxied=proxied) for _ in range(8)))
                assert codes == ["250"] * 8
                for client in others:
                    await client.greet()
                    await client.close()

    run(work())


def test_a_connection_that_waits_for_its_turn_is_served_as_is_in_force_by_then(run: Run) -> None:
    async def work() -> None:
        async with serve(PLAIN) as served:
            host, _, port = served.acceptor.addresses()["mx"].rpartition(":")
            turning = asyncio.ensure_future(turn(served, PROXIED))
            streams = [await asyncio.open_connection(host, int(port)) for _ in range(30)]
            await turning
            clients = [Client(*each) for each in streams]
            for client in clients:
                await client.send(HEADER)
            replies = [await client.reply() for client in clients]
            # Who was taken before it turned is greeted, and told that this is no command; nobody is cut off.
            assert all(reply.startswith("220 ") for reply in replies)
            for client in clients:
                await client.close()

    run(work())


def test_an_end_while_a_listener_turns_leaves_nobody_listening(run: Run) -> None:
    async def work() -> None:
        async with serve(PLAIN) as served:
            host, _, port = served.acceptor.addresses()["mx"].rpartition(":")
            turning = asyncio.ensure_future(turn(served, PROXIED))
            await asyncio.sleep(0)
            await served.acceptor.drain(0.05)
            await turning
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection(host, int(port))

    run(work())
