"""A Grafana that this machine has, with the boards in it, looking at the stage's Prometheus."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from monitoring.__main__ import generated
from tests.support.processes import LOOPBACK, PeerProcess

HOW: Final = (
    "No Grafana here: put `grafana` on PATH, or set GRAFANA_HOME to an unpacked one (it is not in Debian), to see the\n"
    "boards in it. They can be imported into any other: charts/paquebot/files/dashboards/*.json."
)
_START_SECONDS: Final = 60.0


def grafana_home() -> Path | None:
    """Find the directory of an installed or unpacked Grafana."""
    if home := os.environ.get("GRAFANA_HOME"):
        return Path(home)
    program = shutil.which("grafana") or shutil.which("grafana-server")
    places = (Path("/usr/share/grafana"), *(Path(program).resolve().parents if program else ()))
    return next((place for place in places if (place / "conf" / "defaults.ini").is_file()), None)


@contextmanager
def running_grafana(home: Path, directory: Path, port: int, prometheus_port: int) -> Iterator[PeerProcess]:
    """Run it below a directory; anybody may look, nobody needs a password. It asks nothing outside this machine."""
    _provision(directory, prometheus_port)
    paths = {"DATA": directory / "data", "LOGS": directory / "logs", "PROVISIONING": directory / "provisioning"}
    environment = {
        **{f"GF_PATHS_{name}": str(path) for name, path in paths.items()},
        "GF_SERVER_HTTP_ADDR": LOOPBACK,
        "GF_SERVER_HTTP_PORT": str(port),
        "GF_AUTH_ANONYMOUS_ENABLED": "true",
        "GF_AUTH_ANONYMOUS_ORG_ROLE": "Viewer",
        "GF_ANALYTICS_REPORTING_ENABLED": "false",
        "GF_ANALYTICS_CHECK_FOR_UPDATES": "false",
        "GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES": "false",
    }
    with PeerProcess([*_program(home), "--homepath", str(home)], directory / "grafana.log", env=environment) as process:
        process.wait_for_port(port, _START_SECONDS)
        yield process


def _program(home: Path) -> list[str]:
    """Name the program: its own directory's before one on PATH."""
    for path in (home / "bin" / "grafana", home / "bin" / "grafana-server", shutil.which("grafana")):
        if path and Path(path).is_file():
            return [str(path), "server"] if Path(path).name == "grafana" else [str(path)]
    return [shutil.which("grafana-server") or "grafana-server"]


def _provision(directory: Path, prometheus_port: int) -> None:
    """Write data source and boards where Grafana looks when it starts; JSON is YAML, too."""
    provisioning, boards = directory / "provisioning", directory / "boards"
    for path in (provisioning / "datasources", provisioning / "dashboards", boards):
        path.mkdir(parents=True, exist_ok=True)
    for path, content in generated():
        if path.suffix == ".json":
            (boards / path.name).write_bytes(content)
    source = {"name": "Prometheus", "type": "prometheus", "url": f"http://{LOOPBACK}:{prometheus_port}"}
    sources = {"apiVersion": 1, "datasources": [source | {"access": "proxy", "isDefault": True}]}
    provider = {"name": "paquebot", "type": "file", "options": {"path": str(boards)}}
    (provisioning / "datasources" / "paquebot.yaml").write_text(json.dumps(sources))
    (provisioning / "dashboards" / "paquebot.yaml").write_text(json.dumps({"apiVersion": 1, "providers": [provider]}))
