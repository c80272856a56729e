"""Questions over UDP and TCP: a fresh random port and id for each, and only the right response is believed."""

import asyncio
import struct
from typing import Final

import dns.flags
import dns.message
import dns.rcode
from msgspec import Struct

from paquebot_mta.mail.ids import RandomBits
from paquebot_mta.resolver.questions import Status
from paquebot_mta.resolver.wire import Query, is_lame, make_query, parse_response

MAX_IN_FLIGHT: Final = 256
ROUNDS: Final = 2
"""How often each server is asked."""
_FINAL_RCODES: Final = frozenset({dns.rcode.NOERROR, dns.rcode.NXDOMAIN})


class Server(Struct, frozen=True):
    """Where to ask."""

    address: str
    port: int = 53


class Transport:
    """Asks servers in turn until one gives an answer.

    Args:
        servers: at least one, in the order to ask.
        timeout_seconds: for one question, all servers and rounds together.
        randbits: must be unpredictable (``secrets.randbits``).
    """

    def __init__(self, servers: tuple[Server, ...], timeout_seconds: float, randbits: RandomBits) -> None:
        self._servers = servers
        self._timeout_seconds = timeout_seconds
        self._randbits = randbits
        self._slots = asyncio.Semaphore(MAX_IN_FLIGHT)

    async def exchange(self, name: str, rdtype: str) -> dns.message.QueryMessage | Status:
        """Give a response with NOERROR or NXDOMAIN, or the status of having none.

        Raises:
            ValueError: the name can't be a domain name.
        """
        query = make_query(name, rdtype, 0)
        try:
            async with asyncio.timeout(self._timeout_seconds), self._slots:
                return await self._ask_in_turn(query)
        except TimeoutError:
            return "timeout"

    async def _ask_in_turn(self, query: Query) -> dns.message.QueryMessage | Status:
        share = self._timeout_seconds / (len(self._servers) * ROUNDS)
        status: Status = "timeout"
        silent = dict.fromkeys(self._servers)
        for _ in range(ROUNDS):
            for server in tuple(silent):
                answer = await self._ask_one(server, query.renumbered(self._randbits(16)), share)
                if isinstance(answer, dns.message.QueryMessage):
                    return answer
                if answer != "timeout":
                    # It did answer: asking again at once would not help.
                    silent.pop(server)
                    status = answer
        return status

    async def _ask_one(self, server: Server, query: Query, timeout_seconds: float) -> dns.message.QueryMessage | Status:
        try:
            async with asyncio.timeout(timeout_seconds):
                message = await _over_udp(server, query)
                if message.flags & dns.flags.TC:
                    message = await _over_tcp(server, query)
        except TimeoutError:
            return "timeout"
        except (OSError, ValueError, asyncio.IncompleteReadError):
            return "error"
        return message if message.rcode() in _FINAL_RCODES and not is_lame(message) else "servfail"


class _Datagrams(asyncio.DatagramProtocol):
    """Waits for the one response that fits the question; anything else is as if it had not come."""

    def __init__(self, query: Query) -> None:
        self._query = query
        self.response: asyncio.Future[dns.message.QueryMessage] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, addr: object) -> None:
        """Check a datagram; the connected socket has already checked where it comes from."""
        if self.response.done():
            return
        try:
            message = parse_response(self._query, data)
        except ValueError as error:
            self.response.set_exception(error)
            return
        if message is not None:
            self.response.set_result(message)

    def error_received(self, exc: Exception) -> None:
        """Nobody listens there (ICMP)."""
        if not self.response.done():
            self.response.set_exception(exc)


async def _over_udp(server: Server, query: Query) -> dns.message.QueryMessage:
    """Ask over a socket of its own: the kernel draws a random port (RFC 5452, 9.2) and drops other sources."""
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_datagram_endpoint(
        lambda: _Datagrams(query), remote_addr=(server.address, server.port)
    )
    try:
        transport.sendto(query.wire)
        return await protocol.response
    finally:
        transport.close()


async def _over_tcp(server: Server, query: Query) -> dns.message.QueryMessage:
    """Ask again where a response of any length fits (RFC 7766)."""
    reader, writer = await asyncio.open_connection(server.address, server.port, limit=65_537)
    try:
        writer.write(struct.pack("!H", len(query.wire)) + query.wire)
        await writer.drain()
        (length,) = struct.unpack("!H", await reader.readexactly(2))
        message = parse_response(query, await reader.readexactly(length))
    finally:
        writer.transport.abort()
    if message is None:
        raise ValueError("response to another question")
    return message
