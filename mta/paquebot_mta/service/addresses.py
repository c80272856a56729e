"""The machine's own addresses, so that mail is never relayed to ourselves."""

import socket
from functools import lru_cache


@lru_cache(maxsize=1)
def machine_addresses() -> frozenset[str]:
    """Find the addresses of this machine's interfaces without asking DNS; kept, for they rarely change in a pod."""
    found = {"127.0.0.1", "::1"}
    for family, probe in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")):
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as udp:
                # Connecting a datagram socket sends nothing; it only chooses the source address.
                udp.connect((probe, 9))
                found.add(udp.getsockname()[0])
        except OSError:
            continue
    return frozenset(found)
