"""What the machine's resolv.conf and the settings say: which servers to ask, and the domain of a cluster's Services."""

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
    return _nameservers(await _text_of(resolv_conf)) or (Server("127.0.0.1"),)


async def find_cluster_domain(resolv_conf: Path = RESOLV_CONF) -> str:
    """Give the domain that Services of a Kubernetes cluster are in, ``cluster.local`` mostly; empty outside of one.

    A kubelet puts ``svc.DOMAIN`` into the search list of each pod.
    """
    for words in (line.lower().split() for line in (await _text_of(resolv_conf)).splitlines()):
        if words[:1] == ["search"]:
            for domain in words[1:]:
                if domain.startswith("svc."):
                    return domain.removeprefix("svc.").removesuffix(".")
    return ""


async def _text_of(path: Path) -> str:
    try:
        return await asyncio.to_thread(path.read_text, encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _nameservers(text: str) -> tuple[Server, ...]:
    found = []
    for words in (line.split() for line in text.splitlines()):
        if len(words) > 1 and words[0] == "nameserver":
            try:
                found.append(Server(str(ip_address(words[1]))))
            except ValueError:
                continue
    return tuple(found[:_MAX_SERVERS])
