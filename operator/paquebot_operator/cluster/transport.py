"""One request to the API server over kubernetes.aio's pool: bytes in, bytes out, a deadline, an error by type."""

import asyncio
from time import monotonic
from typing import Any, Final, Protocol

import aiohttp
import msgspec
from kubernetes.aio.client import ApiClient, Configuration

from paquebot_operator.cluster.errors import BusyError, error_of

CONNECT_SECONDS: Final = 3.0
REQUEST_SECONDS: Final = 10.0
USER_AGENT: Final = "paquebot-operator"


class Observe(Protocol):
    """Hears of each request: verb and resource for people, status 0 without an answer, seconds taken."""

    def __call__(self, verb: str, resource: str, status: int, seconds: float) -> None:
        """Count it."""


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked; ``verb`` and ``resource`` are labels of metrics."""

    verb: str
    resource: str
    method: str
    target: str
    body: Any = None
    content_type: str = "application/json"
    accept: str = "application/json"
    timeout_seconds: float = REQUEST_SECONDS


class Credentials(msgspec.Struct, frozen=True, kw_only=True):
    """How another client of the same process finds the API server; ``token`` without its scheme."""

    server: str
    ca_path: str | None
    insecure: bool
    certificate_path: str | None
    private_key_path: str | None
    token: str | None

    def __repr__(self) -> str:
        return f"Credentials({self.server})"


async def credentials_of(configuration: Configuration) -> Credentials:
    """What a configuration has now: a pod's token is read anew every minute."""
    token = await configuration.get_api_key_with_prefix("BearerToken")
    return Credentials(
        server=configuration.host,
        ca_path=configuration.ssl_ca_cert,
        insecure=not configuration.verify_ssl,
        certificate_path=configuration.cert_file,
        private_key_path=configuration.key_file,
        token=token.split(None, 1)[-1].strip() if token else None,
    )


class Sends(Protocol):
    """Sends requests."""

    async def send(self, request: Request) -> bytes:
        """Return the body of a 2xx; raises ClusterError."""

    async def close(self) -> None:
        """Close connections."""


class Transport:
    """Sends requests; knows nothing of objects."""

    def __init__(self, configuration: Configuration, observe: Observe) -> None:
        self._configuration = configuration
        self._client = ApiClient(configuration)
        self._observe = observe

    async def send(self, request: Request) -> bytes:
        """Send a request and return the body of a 2xx.

        Raises:
            ClusterError: no answer in time, or another answer.
        """
        started, status = monotonic(), 0
        try:
            async with asyncio.timeout(request.timeout_seconds + 1):
                status, body, retry_after = await self._exchange(request)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise BusyError(0, f"no answer: {type(error).__name__} {error}".strip()) from None
        finally:
            self._observe(request.verb, request.resource, status, monotonic() - started)
        if not 200 <= status < 300:
            raise error_of(status, body, retry_after)
        return body

    async def close(self) -> None:
        """Close the pool."""
        await self._client.close()  # type: ignore[no-untyped-call]

    async def _exchange(self, request: Request) -> tuple[int, bytes, str | None]:
        headers = {"Accept": request.accept, "Content-Type": request.content_type, "User-Agent": USER_AGENT}
        token = await self._configuration.get_api_key_with_prefix("BearerToken")
        if token:
            headers["Authorization"] = token
        answer = await self._client.rest_client.request(  # type: ignore[no-untyped-call]
            request.method,
            self._configuration.host.rstrip("/") + request.target,
            headers=headers,
            body=request.body,
            _request_timeout=aiohttp.ClientTimeout(total=request.timeout_seconds, connect=CONNECT_SECONDS),
        )
        return answer.status, await answer.read(), answer.headers.get("Retry-After")
