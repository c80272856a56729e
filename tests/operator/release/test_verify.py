"""`paquebot verify` and `paquebot apply`: a real MTA between, and what people are told."""

from __future__ import annotations

from pathlib import Path
from time import monotonic

import pytest
import yaml
from click.testing import CliRunner

from paquebot_operator.release.apply import apply_all
from paquebot_operator.release.apply import command as apply
from paquebot_operator.release.journey import Trial, travel
from paquebot_operator.release.sink import Sink
from tests.operator.builders import config_map, service
from tests.support.paquebot import Paquebot, running_paquebot
from tests.support.processes import LOOPBACK, free_port

from .cluster_double import NAME, NAMESPACE, ClusterDouble

DOMAIN = "t2.paquebot-test.invalid"


@pytest.mark.integration
async def test_mail_goes_through_a_real_server_and_comes_back(tmp_path: Path) -> None:
    with running_paquebot(tmp_path / "mta") as mta:
        port = free_port()
        cluster = ClusterDouble(lambda files: programmed(mta, files), mx_port=port)
        # Listeners change at a start only.
        mta.stop()
        mta.write(cluster.files())
        mta.restart()
        trial = Trial(
            namespace=NAMESPACE,
            name=NAME,
            service="post",
            domain=DOMAIN,
            address=LOOPBACK,
            until=monotonic() + 20,
            mx=(LOOPBACK, port),
        )
        said: list[str] = []
        async with Sink(LOOPBACK, 0) as sink:
            await travel(cluster.api, sink, trial, said.append)
        assert said[-1] == f"the message for passenger@{DOMAIN} was read back"
        assert cluster.deleted == [("MailDomain", NAME)]


def programmed(mta: Paquebot, files: dict[str, bytes]) -> bool:
    digest = mta.config()["digest"]
    mta.write(files)
    mta.wait_for(lambda: mta.config()["digest"] != digest, "the domain")
    return True


async def test_an_applied_object_goes_with_its_owner() -> None:
    cluster = ClusterDouble(lambda files: True, mx_port=free_port())
    owner = config_map("release") | {"metadata": {"name": "release", "namespace": NAMESPACE, "uid": "u-1"}}
    cluster.keep(owner)
    said: list[str] = []
    await apply_all(cluster.api, (service(),), owner="ConfigMap/release", until=monotonic() + 1, say=said.append)
    applied = cluster.objects["MailService", "post"]
    assert applied["metadata"]["ownerReferences"] == [
        {"apiVersion": "v1", "kind": "ConfigMap", "name": "release", "uid": "u-1"}
    ]
    assert said == ["MailService post applied"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (yaml.safe_dump(config_map("x")), "ConfigMap is no kind of paquebot.dev"),
        ("a: [", "while parsing"),
        ("[1]", "not an object with apiVersion, kind and metadata.name"),
    ],
)
def test_what_is_not_ours_or_no_manifest_is_refused(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(text, encoding="utf-8")
    done = CliRunner().invoke(apply, [str(file)])
    assert done.exit_code == 1
    assert message in done.output
