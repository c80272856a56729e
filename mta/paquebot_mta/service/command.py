"""``paquebot mta``: one worker, or a supervisor of several."""

import asyncio
import json
import os
import sys
from collections.abc import Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import click
from msgspec import structs

from paquebot_mta.accept.listener import Bind
from paquebot_mta.accept.shared import SharedSockets
from paquebot_mta.accept.sockets import bind
from paquebot_mta.admin.port import start_admin_port
from paquebot_mta.service.nursery import Nursery, running_nursery
from paquebot_mta.service.options import Options
from paquebot_mta.service.supervisor import Supervisor
from paquebot_mta.service.worker import Worker

Loop = Literal["auto", "uvloop", "asyncio"]
DIRECTORY = click.Path(path_type=Path, file_okay=False)


@click.command("mta")
@click.option("--config", type=DIRECTORY, required=True, help="Directory of the compiled configuration.")
@click.option("--spool", type=DIRECTORY, required=True, help="The queue volume.")
@click.option("--runtime", type=DIRECTORY, required=True, help="Where control sockets are made.")
@click.option(
    "--workers",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    help="Processes on the same ports and sockets.",
)
@click.option("--admin", default="127.0.0.1:9025", show_default=True, help="HOST:PORT of health and metrics.")
@click.option("--log-format", type=click.Choice(["auto", "json", "text"]), default="auto", show_default=True)
@click.option(
    "--log-level", type=click.Choice(["debug", "info", "warning", "error"]), help="Beats the configuration's."
)
@click.option("--grace-seconds", type=click.FloatRange(0), default=30.0, show_default=True, help="Longest drain.")
@click.option("--pod", default="", envvar="POD_NAME", help="Name shown in log lines.")
@click.option("--parent", type=click.IntRange(1), metavar="PID", help="End when this process, who started it, is gone.")
@click.option("--loop", type=click.Choice(["auto", "uvloop", "asyncio"]), default="auto", help="Event loop.")
def command(admin: str, loop: Loop, **given: Any) -> None:
    """Run the mail server from a compiled configuration until SIGTERM.

    Example: paquebot mta --config .paquebot/config --spool .paquebot/spool --runtime .paquebot/run
    """
    host, separator, port = admin.rpartition(":")
    if not separator or not port.isdigit():
        raise click.BadParameter("HOST:PORT is wanted", param_hint="--admin")
    given["log_level"] = given["log_level"] or ""
    options = Options(admin_host=host.strip("[]"), admin_port=int(port), **given)
    try:
        sys.exit(_work(options, loop) if options.workers == 1 else _work_together(options, loop))
    except OSError as error:
        raise click.ClickException(f"--admin {admin}: {error.strerror or error}") from None


def _work(options: Options, loop: Loop, bind: Bind = bind) -> int:
    """Be a worker."""
    return _run(Worker(options, bind).run(), loop)


def _work_together(options: Options, loop: Loop) -> int:
    """Be the supervisor of several; they are made from a process that knows everything they need and does nothing."""

    shared = SharedSockets()

    def work(worker: int) -> int:
        return _work(structs.replace(options, worker=worker, parent=os.getppid()), loop, shared.bind)

    with running_nursery(work) as nursery:
        shared.close()
        return _run(_supervise(options, nursery), loop)


async def _supervise(options: Options, nursery: Nursery) -> int:
    """Run the workers, and the admin port that joins them."""
    port = await start_admin_port(
        options.admin_host, options.admin_port, [options.socket_of(worker) for worker in range(options.workers)]
    )
    try:
        return await Supervisor(options, nursery, _say).run()
    finally:
        await port.close()


def _say(event: str, worker: int, code: int) -> None:
    """Tell of a worker that died, as the workers' own log lines are told."""
    ts = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    line = {"ts": ts, "level": "error", "event": event, "component": "service", "worker": worker, "code": code}
    print(json.dumps(line), flush=True)


def _run(main: Coroutine[Any, Any, int], loop: Loop) -> int:
    """Run on uvloop where it exists: it costs half the CPU of asyncio's own loop."""
    if loop == "asyncio":
        return asyncio.run(main)
    try:
        import uvloop
    except ImportError:
        if loop == "uvloop":
            raise click.UsageError("uvloop is not installed") from None
        return asyncio.run(main)
    return uvloop.run(main)
