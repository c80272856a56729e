"""``paquebot operator``: waits for the Lease, then works until it ends or the Lease is lost."""

import asyncio
import logging
import os
import signal
import uuid
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Final

import click

from paquebot_operator.cluster import login
from paquebot_operator.cluster.client import Cluster
from paquebot_operator.cluster.fence import Fenced
from paquebot_operator.cluster.lease import Lease, LeaseLostError
from paquebot_operator.cluster.pods import AdminPorts
from paquebot_operator.cluster.resources import Place
from paquebot_operator.cluster.transport import Transport, credentials_of
from paquebot_operator.control.core import Core
from paquebot_operator.control.http import serve
from paquebot_operator.control.logs import log_json
from paquebot_operator.control.metrics import Metrics
from paquebot_operator.control.parts import Settings
from paquebot_operator.desired.context import RUNBOOKS
from paquebot_operator.handlers.watch import LogIn, watch

END_SECONDS: Final = 2.0
_log: Final = logging.getLogger("paquebot.operator")


@click.command("operator")
@click.option("--image", required=True, envvar="PAQUEBOT_IMAGE", help="Image of the MTA pods.")
@click.option("--namespace", required=True, envvar="POD_NAMESPACE", help="The operator's own: where its Lease lies.")
@click.option("--watch-namespace", "namespaces", multiple=True, metavar="NAME",
              help="Namespace to serve; may be given several times. Without it: all of the cluster.")  # fmt: skip
@click.option("--lease", default="paquebot-operator", show_default=True, help="Name of the Lease.")
@click.option("--listen", default="0.0.0.0:8080", show_default=True, metavar="ADDRESS:PORT",
              help="Where /healthz, /readyz and /metrics are served; :PORT is all addresses.")  # fmt: skip
@login.option
@click.option("--resync-seconds", default=300, type=click.IntRange(10, 3600), show_default=True,
              help="Time between full lists.")  # fmt: skip
@click.option("--runbook-url", default=RUNBOOKS, show_default=True, help="Where the pages are that alerts lead to.")
@click.option("--log-level", default="info", type=click.Choice(["debug", "info", "warning"]), show_default=True,
              expose_value=False, callback=lambda _, __, level: log_json(level),
              help="Least level of log lines.")  # fmt: skip
def command(
    *,
    image: str,
    namespace: str,
    namespaces: tuple[str, ...],
    lease: str,
    listen: str,
    kubeconfig: Path | None,
    resync_seconds: int,
    runbook_url: str,
) -> None:
    """Run the Kubernetes operator: MailServices, MailDomains and Tables become running MTA pods.

    Of several that run with one Lease, one works. Mail flows on while none does.
    """
    settings = Settings(image, namespace, namespaces, float(resync_seconds), runbooks=runbook_url.rstrip("/"))
    try:
        _run_until_lost(_run(settings, kubeconfig, Place(namespace, lease), listen))
    except login.ConfigurationError as error:
        raise click.ClickException(str(error)) from None


def _run_until_lost(run: Coroutine[Any, Any, None]) -> None:
    try:
        asyncio.run(run)
    except* LeaseLostError as group:
        _log.error("the Lease is lost: %s", group.exceptions[0])
        # At once, and without goodbyes: another operator may be at work already.
        os._exit(1)


async def _run(settings: Settings, kubeconfig: Path | None, place: Place, listen: str) -> None:
    metrics = Metrics()
    configuration = await login.load_configuration(kubeconfig)
    cluster = Cluster(Transport(configuration, metrics.request))
    identity = f"{os.environ.get('HOSTNAME', 'operator')}_{uuid.uuid4()}"
    lease, asks, stop = Lease(cluster, place, identity), AdminPorts(), asyncio.Event()
    core = Core(Fenced(cluster, lease.is_held), asks, settings, identity, metrics)
    _take_signals(stop)
    host, _, port = listen.rpartition(":")
    standby = _Standby()
    close = await serve(
        host.strip("[]") or None,
        int(port),
        alive=lambda: standby.waiting or core.is_alive(),
        ready=lambda: standby.waiting or core.is_ready,
        metrics=metrics.exposition,
    )
    try:
        if not await _unless(stop, lease.acquire()):
            return
        standby.waiting = False
        metrics.leader.set(1)
        _log.info("the Lease is ours: working as %s", identity)
        await _work(core, lease, lambda: credentials_of(configuration), stop)
    finally:
        await close()
        await asks.close()
        await cluster.close()


class _Standby:
    """Whether another operator holds the Lease: then all is well here."""

    waiting = True


async def _work(core: Core, lease: Lease, login: LogIn, stop: asyncio.Event) -> None:
    """Work until it is to stop, and let the Lease go; anything that ends by itself is an error."""
    watching = asyncio.Event()
    stopping = asyncio.create_task(stop.wait())
    tasks = {
        asyncio.create_task(core.run()),
        asyncio.create_task(lease.hold()),
        asyncio.create_task(watch(core.see, login, core.settings.namespaces, watching)),
        asyncio.create_task(_signals_after(watching, stop)),
    }
    done, _ = await asyncio.wait({stopping, *tasks}, return_when=asyncio.FIRST_COMPLETED)
    failed = next((task.exception() for task in done if task.exception() is not None), None)
    if isinstance(failed, LeaseLostError):
        _log.error("the Lease is lost: %s", failed)
        # At once, and without goodbyes: another operator may be at work already.
        os._exit(1)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks, timeout=END_SECONDS)
    if failed is not None:
        raise failed
    if stopping not in done:
        raise RuntimeError("the watches ended by themselves")
    await lease.release()


async def _signals_after(watching: asyncio.Event, stop: asyncio.Event) -> None:
    await watching.wait()
    _take_signals(stop)
    await asyncio.Event().wait()


def _take_signals(stop: asyncio.Event) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)


async def _unless(stop: asyncio.Event, work: Coroutine[Any, Any, None]) -> bool:
    """Do the work, unless it is to stop before."""
    doing, stopping = asyncio.create_task(work), asyncio.create_task(stop.wait())
    done, pending = await asyncio.wait({doing, stopping}, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    if doing in done:
        await doing
    return doing in done
