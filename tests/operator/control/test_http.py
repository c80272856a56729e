"""The operator's own port: who asks by IPv4 and who asks by IPv6 get the same answer."""

from __future__ import annotations

from http import HTTPStatus

import aiohttp
import pytest

from paquebot_operator.control.http import serve
from tests.support.processes import free_port


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
async def test_without_an_address_both_families_are_served(host: str) -> None:
    port = free_port()
    close = await serve(None, port, alive=lambda: True, ready=lambda: False, metrics=lambda: b"")
    try:
        async with aiohttp.ClientSession(f"http://{host}:{port}") as client:
            async with client.get("/healthz") as answer:
                assert answer.status == HTTPStatus.OK
            async with client.get("/readyz") as answer:
                assert answer.status == HTTPStatus.SERVICE_UNAVAILABLE
    finally:
        await close()
