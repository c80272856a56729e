"""Where the API server is and who we are: a kubeconfig, the pod's service account, or ``~/.kube/config``."""

import os
from pathlib import Path
from typing import Final

import click
import yaml
from kubernetes.aio import config as kube_config
from kubernetes.aio.client import Configuration

CONNECTIONS: Final = 48
HOME_KUBECONFIG: Final = Path("~/.kube/config")
NOWHERE: Final = (
    "no API server is known: give --kubeconfig FILE, set KUBECONFIG, have a ~/.kube/config, or run in a pod that has a "
    "service account's token"
)
_UNREADABLE: Final = (
    kube_config.ConfigException, yaml.YAMLError, OSError, ValueError, TypeError, KeyError, AttributeError,
)  # fmt: skip
"""What the library lets through of a file that is no kubeconfig."""

option = click.option(
    "--kubeconfig",
    metavar="FILE",
    type=click.Path(path_type=Path),
    envvar="KUBECONFIG",
    help="How to reach the API server.  [default: $KUBECONFIG, the pod's account, ~/.kube/config]",
)
"""Of all commands that talk to an API server; several files as ``kubectl`` has them, with colons between."""


class ConfigurationError(ValueError):
    """No way to an API server could be found; the message is for people."""


async def load_configuration(kubeconfig: Path | None) -> Configuration:
    """Find the API server: a kubeconfig, else the pod's service account, else the kubeconfig at home.

    Raises:
        ConfigurationError: there is none, or it can't be read.
    """
    configuration = Configuration()
    configuration.connection_pool_maxsize = CONNECTIONS
    if kubeconfig is not None:
        await _load(kubeconfig, configuration)
    elif not _load_of_pod(configuration):
        if not _is_there(HOME_KUBECONFIG):
            raise ConfigurationError(NOWHERE)
        await _load(HOME_KUBECONFIG, configuration)
    return configuration


async def _load(kubeconfig: Path, configuration: Configuration) -> None:
    if not _is_there(kubeconfig):
        raise ConfigurationError(f"kubeconfig {kubeconfig}: no such file")
    try:
        await kube_config.load_kube_config(  # type: ignore[no-untyped-call]
            config_file=str(kubeconfig), client_configuration=configuration
        )
    except _UNREADABLE as error:
        text = " ".join(str(error).split())
        raise ConfigurationError(f"kubeconfig {kubeconfig}: {text}") from None


def _is_there(kubeconfig: Path) -> bool:
    """Whether any of its files is."""
    return any(Path(each).expanduser().is_file() for each in str(kubeconfig).split(os.pathsep))


def _load_of_pod(configuration: Configuration) -> bool:
    """Take the pod's service account, if this is a pod that has one."""
    try:
        kube_config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
    except kube_config.ConfigException:
        return False
    return True
