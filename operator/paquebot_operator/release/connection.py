"""A connection to the API server for a command that ends soon, and reading files of manifests."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic
from typing import Any, Final

import click
import yaml

from paquebot_operator.cluster.client import Cluster
from paquebot_operator.cluster.errors import AbsentError, BusyError, ClusterError
from paquebot_operator.cluster.login import ConfigurationError, load_configuration
from paquebot_operator.cluster.resources import Json
from paquebot_operator.cluster.transport import Transport

POLL_SECONDS: Final = 0.5

Say = Callable[[str], None]


@asynccontextmanager
async def connected(kubeconfig: Path | None) -> AsyncIterator[Cluster]:
    """Give the cluster of a kubeconfig, else the one this pod runs in; raises click.ClickException if there is none."""
    try:
        configuration = await load_configuration(kubeconfig)
    except ConfigurationError as error:
        raise click.ClickException(str(error)) from None
    cluster = Cluster(Transport(configuration, _observe_nothing))
    try:
        yield cluster
    finally:
        await cluster.close()


async def insist(call: Callable[[], Awaitable[Json]], *, until: float) -> Json:
    """Call again while the API server is busy or does not know the kind yet; ``until`` is on the monotonic clock.

    Raises:
        ClusterError: it would not, or still not when time was up.
    """
    while True:
        try:
            return await call()
        except (BusyError, AbsentError):
            if monotonic() + POLL_SECONDS >= until:
                raise
        await asyncio.sleep(POLL_SECONDS)


def read_manifests(path: Path) -> tuple[Json, ...]:
    """Read the objects of a YAML file.

    Raises:
        click.ClickException: it is not YAML, or one is no object with apiVersion, kind and metadata.name.
    """
    try:
        found: list[Any] = [each for each in yaml.safe_load_all(path.read_text(encoding="utf-8")) if each is not None]
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise click.ClickException(f"{path}: {error}") from None
    for each in found:
        if not (isinstance(each, dict) and isinstance(each.get("metadata"), dict) and each["metadata"].get("name")):
            raise click.ClickException(f"{path}: not an object with apiVersion, kind and metadata.name")
    return tuple(found)


def failure(error: ClusterError, about: str) -> click.ClickException:
    """Say what could not be done."""
    return click.ClickException(f"{about}: {error}")


def _observe_nothing(verb: str, resource: str, status: int, seconds: float) -> None:
    """A command has no metrics."""
