"""Which servers to ask: from the settings, or from the machine's resolv.conf."""

import asyncio
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from paquebot_mta.resolver.transport import Server

RESOLV_CONF: Final = Path("/etc/resolv.conf")
_MAX_SERVERS: Final = 3  # as the C library


def parse_server(text: str) -> Server:
    """Read ``address``, ``address:port`` or ``[v6]:port``.

    Raises:
        ValueError: it is none of them.
    """
    bracketed = text.startswith("[")
    if bracketed:
        address, bracket, port = text[1:].partition("]")
        port = port.removeprefix(":") if bracket else "?"
    elif text.count(":") == 1:
        address, _, port = text.partition(":")
    else:
        address, port = text, ""
    try:
        return Server(str(ip_address(address)), int(port) if port else 53)
    except ValueError as error:
        raise ValueError(f"not the address of a DNS server: {text!r}") from error


async def find_servers(configured: tuple[str, ...], resolv_conf: Path = RESOLV_CONF) -> tuple[Server, ...]:
    """Give the configured servers, else the machine's, else one on this machine.

    Raises:
        ValueError: a configured one is no address.
    """
    if configured:
        return tuple(parse_server(text) for text in configured)
    try:
        text = await asyncio.to_thread(resolv_conf.read_text, encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    return _nameservers(text) or (Server("127.0.0.1"),)


def _nameservers(text: str) -> tuple[Server, ...]:
    found = []
    for words in (line.split() for line in text.splitlines()):
        if len(words) > 1 and words[0] == "nameserver":
            try:
                found.append(Server(str(ip_address(words[1]))))
            except ValueError:
                continue
    return tuple(found[:_MAX_SERVERS])
