"""The ten minutes of docs/filter-authors.md: what it says to write is written, what it says to type is typed."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.processes import LOOPBACK, PeerProcess, free_port, wait_until

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "filter-authors.md"
BLOCK = re.compile(r"^ *```(sh|yaml)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)


@dataclass
class Author:
    """A person with a home, the blocks of the page for it, and the server that was started."""

    home: Path
    blocks: list[tuple[str, str]]
    ports: dict[int, int]

    def next(self, kind: str) -> str:
        """What comes next on the page."""
        found, text = self.blocks.pop(0)
        assert found == kind, text
        return text

    def type(self, text: str) -> str:
        """Type lines into a shell, where the server was started, and give what they print."""
        done = subprocess.run(
            ["bash", "-euc", text], cwd=self.home, capture_output=True, timeout=60, check=False, env=self.environment
        )
        assert done.returncode == 0, (done.stdout + done.stderr).decode()
        return (done.stdout + done.stderr).decode()

    @property
    def environment(self) -> dict[str, str]:
        return {"PATH": "/usr/bin:/bin", "HOME": str(self.home), "PYTHONUNBUFFERED": "1"}

    def merge(self, text: str) -> None:
        """Put what a block says of the MailService into its manifest."""
        path = self.home / "mail" / "service.yaml"
        found, said = yaml.safe_load(path.read_text()), yaml.safe_load(text)["spec"]
        for listener in said.pop("listeners", []):
            (its,) = [each for each in found["spec"]["listeners"] if each["name"] == listener["name"]]
            its.update(listener)
        found["spec"].update(said)
        path.write_text(yaml.safe_dump(found))

    def listen_elsewhere(self) -> None:
        path = self.home / "mail" / "service.yaml"
        found: dict[str, Any] = yaml.safe_load(path.read_text())
        for listener in found["spec"]["listeners"]:
            listener["port"] = self.ports[listener["port"]]
        path.write_text(yaml.safe_dump(found))


@pytest.fixture
def author(directory: Path) -> Author:
    home, programs = directory / "me", str(Path(sys.executable).parent)
    home.mkdir()
    ports = {number: free_port() for number in (2525, 5870, 9025)}
    text = PAGE.read_text(encoding="utf-8").partition("\n## Ten minutes\n")[2].partition("\n## ")[0]
    for said, meant in (
        ("/home/me", str(home)),
        ("/tmp/events.log", f"{directory}/events.log"),
        ("letter.eml", f"{directory}/letter.eml"),
        (".venv/bin/paquebot send", f".venv/bin/paquebot send --server {LOOPBACK}:{ports[2525]}"),
        ("examples/", f"{ROOT}/examples/"),
        (".venv/bin", programs),
    ):
        text = text.replace(said, meant)
    return Author(home, [(kind, block) for kind, block in BLOCK.findall(text)], ports)


@pytest.fixture
def started(author: Author) -> Iterator[PeerProcess]:
    author.type(author.next("sh"))
    (author.home / "mail" / "hello.yaml").write_text(author.next("yaml"))
    author.merge(author.next("yaml"))
    author.listen_elsewhere()
    argv = [*author.next("sh").split(), "--admin", f"{LOOPBACK}:{author.ports[9025]}", "--log-format", "json"]
    with PeerProcess(argv, author.home / "run.log", cwd=author.home, env={"PYTHONUNBUFFERED": "1"}) as process:
        process.wait_for_log("Ctrl-C stops it", 30.0)
        yield process
        assert process.terminate() == 0


def test_what_the_page_says_leads_to_a_filter_that_works(author: Author, started: PeerProcess) -> None:
    said = author.type(author.next("sh"))
    assert "refused: 550 5.1.1 Nobody is here" in said
    assert "as it should be" in said
    assert re.search(r"default/hello +process +Enforce +listener mx", said)
    started.wait_for_log("1 messages so far", 10.0)
    loaded = started.log().count('"config.loaded"')
    author.merge(author.next("yaml"))
    wait_until(lambda: started.log().count('"config.loaded"') > loaded, "the change in force", 5.0)
    said = author.type(author.next("sh"))
    assert author.blocks == [], "all of the chapter was done"
    assert (
        len(re.findall(r"rcpt-to +nobody@example.test -> reject 550 5.1.1 Nobody is here +\(default/hello\)", said))
        == 2
    )
    assert len(re.findall(r"rcpt-to +alice@example.test -> proceed", said)) == 2
    assert re.search(r"commit +- -> proceed", said)
    assert "2 sessions; 0 missing" in said
    assert re.search(r"\d+ reports told, 0 missing, 0 unreadable lines", said)
