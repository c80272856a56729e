"""The header of a proxy, read from an accepted socket before anything else is (see ``paquebot_mta.mail.proxy``)."""

import asyncio
import ipaddress
import socket
from typing import Any

from paquebot_mta.mail.proxy import ProxyError, missing_bytes, parse_proxy

Networks = tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]


async def read_ends(connection: socket.socket, trusted: Networks, timeout_seconds: float) -> tuple[Any, Any]:
    """Give both ends of the client's connection, as sockets name them; what follows the header stays in the socket.

    Raises:
        ProxyError: the peer is no proxy that may tell, or told nothing that can be read in time.
        OSError: the connection broke.
    """
    peer, local = connection.getpeername(), connection.getsockname()
    if not is_trusted(peer, trusted):
        raise ProxyError("the peer is not among the trusted networks")
    try:
        header = await asyncio.wait_for(_read_header(connection), timeout_seconds)
    except TimeoutError:
        raise ProxyError("no header came in time") from None
    ends = parse_proxy(header)
    return (peer, local) if ends is None else (ends.source, ends.destination)


def is_trusted(peer: Any, trusted: Networks) -> bool:
    """Whether a peer may tell who the client is; one on a unix socket never may."""
    if not isinstance(peer, tuple):
        return False
    address = ipaddress.ip_address(peer[0].partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return any(address in network for network in trusted)


async def _read_header(connection: socket.socket) -> bytes:
    """Read no byte that isn't the header's: the next one may be TLS's."""
    loop, held = asyncio.get_running_loop(), b""
    while missing := missing_bytes(held):
        received = await loop.sock_recv(connection, missing)
        if not received:
            raise ProxyError("the connection ended within the header")
        held += received
    return held
