"""``paquebot verify``: prove in a cluster that a new domain's mail goes through; what ``helm test`` runs."""

import asyncio
import secrets
import socket
from pathlib import Path
from time import monotonic
from typing import Final

import click

from paquebot_operator.cluster import login
from paquebot_operator.cluster.errors import ClusterError
from paquebot_operator.release.connection import connected
from paquebot_operator.release.journey import Trial, TrialError, travel
from paquebot_operator.release.sink import Sink

SINK_PORT: Final = 2424


@click.command("verify")
@click.option("--namespace", envvar="POD_NAMESPACE", required=True, help="Where objects are applied.")
@click.option("--name", default="paquebot-test", show_default=True, help="Name of what is applied.")
@click.option("--service", default="", help="MailService to try; one is made, and deleted, if left out.")
@click.option("--address", envvar="POD_IP", default="", help="Own address, as mail servers reach it.")
@click.option("--port", type=click.IntRange(0, 65535), default=SINK_PORT, show_default=True, help="Own LMTP port.")
@click.option("--mx", metavar="HOST:PORT", default="", help="Where to send; the MX listener's Service if left out.")
@click.option("--timeout", "timeout_seconds", type=click.FloatRange(1), default=240.0, show_default=True)
@login.option
def command(kubeconfig: Path | None, port: int, mx: str, address: str, timeout_seconds: float, **given: str) -> None:
    """Attach a domain, send a mail for it through the Service, and read it back.

    Exits 1 and says where it got stuck if that does not work in time. What it applied it deletes.

    Example: paquebot verify --namespace mail --service mail
    """
    try:
        trial = Trial(
            **given,
            address=address or socket.gethostbyname(socket.gethostname()),
            domain=f"t{secrets.token_hex(6)}.paquebot-test.invalid",
            until=monotonic() + timeout_seconds,
            mx=_host_and_port(mx) if mx else None,
        )
        asyncio.run(_run(kubeconfig, trial, port))
    except (ClusterError, TrialError, OSError) as error:
        raise click.ClickException(str(error)) from None


def _host_and_port(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal():
        raise click.BadParameter(f"{text} is not HOST:PORT", param_hint="--mx")
    return host.strip("[]"), int(port)


async def _run(kubeconfig: Path | None, trial: Trial, port: int) -> None:
    started = monotonic()

    def say(text: str) -> None:
        click.echo(f"{monotonic() - started:6.1f} s  {text}")

    host = "::" if ":" in trial.address else "0.0.0.0"  # noqa: S104 - mail servers come from other pods
    async with connected(kubeconfig) as cluster, Sink(host, port) as sink:
        await travel(cluster, sink, trial, say)
