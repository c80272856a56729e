"""``make monitoring``: an instance under a small load, Prometheus, Grafana where there is one, a page of pictures."""

from __future__ import annotations

import http.server
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import click

from monitoring.grafana_server import HOW, grafana_home, running_grafana
from monitoring.overview import OVERVIEW
from monitoring.pictures import draw_board
from monitoring.stage import Stage, running_stage
from tests.support.processes import LOOPBACK, PeerError, peer_directory

IMAGES: Final = Path(__file__).parent.parent / "docs" / "images"
_SHOWN_SECONDS: Final = 300.0
_HEAD: Final = (
    '<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="5"><title>Paquebot</title>'
    "<style>body{font:15px system-ui;margin:1em;background:#f4f5f7}img,svg{max-width:100%}</style>"
)


@click.command()
@click.option("--port", default=9100, show_default=True, help="The page of pictures, on loopback.")
@click.option("--prometheus-port", default=9090, show_default=True, help="Prometheus, on loopback.")
@click.option("--grafana-port", default=3000, show_default=True, help="Grafana, on loopback, if there is one.")
@click.option("--pictures", type=int, metavar="SECONDS", help="Run so long, write docs/images, and end.")
def main(*, port: int, prometheus_port: int, grafana_port: int, pictures: int | None) -> None:
    """Show the boards with real data until Ctrl-C."""
    try:
        with peer_directory() as directory, running_stage(directory, prometheus_port=prometheus_port) as stage:
            if pictures:
                write_pictures(stage, pictures)
            else:
                _show(stage, directory, port, grafana_port)
    except PeerError as error:
        raise click.ClickException(str(error)) from error


def write_pictures(stage: Stage, seconds: float) -> None:
    """Exercise the stage so long, and draw the rows of the overview into docs/images."""
    start = time.time()
    stage.exercise(seconds)
    IMAGES.mkdir(parents=True, exist_ok=True)
    for name, picture in draw_board(stage, OVERVIEW, start, time.time()):
        (IMAGES / name).write_text(picture, encoding="utf-8")


def _show(stage: Stage, directory: Path, port: int, grafana_port: int) -> None:
    stopping = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.set())
    with ExitStack() as stack:
        stack.enter_context(_serving(stage, port))
        click.echo(f"pictures    http://{LOOPBACK}:{port}/")
        click.echo(f"Prometheus  http://{LOOPBACK}:{stage.prometheus.port}/alerts")
        if (home := grafana_home()) is not None:
            stack.enter_context(running_grafana(home, directory / "grafana", grafana_port, stage.prometheus.port))
            click.echo(f"Grafana     http://{LOOPBACK}:{grafana_port}/d/{OVERVIEW.uid}")
        else:
            click.echo(HOW)
        click.echo("Ctrl-C ends it.")
        while not stopping.is_set():
            stage.exercise(1.0, lambda: not stopping.is_set())


@contextmanager
def _serving(stage: Stage, port: int) -> Iterator[None]:
    """Serve the page from a thread until the end of the block."""
    began = time.time()

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            end = time.time()
            start = max(began, end - _SHOWN_SECONDS)
            rows = "".join(picture for _, picture in draw_board(stage, OVERVIEW, start, end))
            body = f"{_HEAD}<h1>{OVERVIEW.title}</h1><p>{OVERVIEW.says}</p>{rows}".encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Say nothing on the terminal."""

    with http.server.ThreadingHTTPServer((LOOPBACK, port), Page) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


if __name__ == "__main__":
    main()
