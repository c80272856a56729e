"""A Grafana that is found gets our boards and our Prometheus, and nothing outside the machine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from monitoring.grafana_server import grafana_home, running_grafana
from tests.support.processes import free_port, peer_directory

STAND_IN = """#!/usr/bin/env python3
import json, os, socket, sys
at = socket.create_server((os.environ["GF_SERVER_HTTP_ADDR"], int(os.environ["GF_SERVER_HTTP_PORT"])))
print(json.dumps({"argv": sys.argv[1:], "settings": {k: v for k, v in os.environ.items() if k.startswith("GF_")}}),
      flush=True)
while True:
    at.accept()[0].close()
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A directory like an unpacked Grafana's."""
    program = tmp_path / "home" / "bin" / "grafana"
    program.parent.mkdir(parents=True)
    program.write_text(STAND_IN)
    program.chmod(0o755)
    (tmp_path / "home" / "conf").mkdir()
    (tmp_path / "home" / "conf" / "defaults.ini").touch()
    return tmp_path / "home"


def test_it_is_started_with_boards_and_data_source(home: Path) -> None:
    with peer_directory() as directory, running_grafana(home, directory, free_port(), 9090) as process:
        told = json.loads(process.wait_for_log(r"\{.*\}").group())
        assert told["argv"] == ["server", "--homepath", str(home)]
        assert told["settings"]["GF_AUTH_ANONYMOUS_ENABLED"] == "true"
        assert told["settings"]["GF_ANALYTICS_REPORTING_ENABLED"] == "false"
        provisioning = Path(told["settings"]["GF_PATHS_PROVISIONING"])
        (source,) = json.loads((provisioning / "datasources" / "paquebot.yaml").read_text())["datasources"]
        assert source["url"] == "http://127.0.0.1:9090"
        (provider,) = json.loads((provisioning / "dashboards" / "paquebot.yaml").read_text())["providers"]
        boards = sorted(path.name for path in Path(provider["options"]["path"]).iterdir())
        assert boards == ["paquebot-operator.json", "paquebot-overview.json"]


def test_it_is_found_by_its_home_or_on_the_path(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(home / "bin"))
    monkeypatch.delenv("GRAFANA_HOME", raising=False)
    assert grafana_home() == home
    monkeypatch.setenv("GRAFANA_HOME", "/somewhere/else")
    assert grafana_home() == Path("/somewhere/else")
