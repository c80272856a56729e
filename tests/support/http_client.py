"""Asking an HTTP server on this machine."""

from __future__ import annotations

import http.client

from .processes import LOOPBACK


def fetch(port: int, path: str, timeout_seconds: float = 5.0) -> tuple[int, bytes]:
    """Return status and body. Raises OSError when nothing listens."""
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=timeout_seconds)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def is_ok(port: int, path: str) -> bool:
    """Tell whether it answers with 200."""
    try:
        return fetch(port, path)[0] == 200
    except (OSError, http.client.HTTPException):
        return False
