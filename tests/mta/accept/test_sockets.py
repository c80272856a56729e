"""The addresses that a listener can have."""

from __future__ import annotations

import socket

import pytest

from paquebot_mta.accept.sockets import bind


@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_all_addresses_of_ipv6_are_all_addresses_of_ipv4_too(family: int, host: str) -> None:
    with bind("::", 0) as listening, socket.socket(family) as client:
        listening.listen()
        client.settimeout(5.0)
        client.connect((host, listening.getsockname()[1]))
        accepted, _ = listening.accept()
        accepted.close()
