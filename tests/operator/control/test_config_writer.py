"""A configuration that can't be written is told, and pods go on with the one that they have."""

from __future__ import annotations

import pytest

from paquebot_operator.api.decode import decode
from paquebot_operator.api.mailservice import MailService
from paquebot_operator.cluster.errors import DeniedError, RefusedError
from paquebot_operator.cluster.resources import SECRETS
from paquebot_operator.control.config_writer import write_config
from paquebot_operator.control.live import LiveSecrets
from paquebot_operator.desired.config_secrets import MAX_FILE_BYTES

from .fake_cluster import FakeCluster, refusing
from .pool import quiet_service

FILES = {"index.json": b"i", "service.json": b"s"}
TOO_BIG = {"index.json": b"i", "service.json": b"x" * (MAX_FILE_BYTES + 1)}


def post() -> MailService:
    made = decode(quiet_service())
    assert isinstance(made, MailService)
    return made


async def test_a_file_that_no_secret_holds_is_told_and_nothing_is_written() -> None:
    cluster, live = FakeCluster(), LiveSecrets()
    written = await write_config(cluster, live, post(), TOO_BIG)
    assert written.trouble is not None
    assert (written.count, written.trouble.type, written.trouble.reason) == (0, "Programmed", "ConfigTooBig")
    assert "service.json (1048577 bytes)" in written.trouble.message
    assert cluster.writes == []
    assert live.marks == {}


@pytest.mark.parametrize("error", [DeniedError(403, "exceeded quota"), RefusedError(422, "a webhook says no")])
async def test_secrets_that_the_api_server_refuses_are_told(error: DeniedError | RefusedError) -> None:
    cluster = FakeCluster()
    cluster.trouble = refusing(error, SECRETS.plural)
    written = await write_config(cluster, LiveSecrets(), post(), FILES)
    assert written.trouble is not None
    assert (written.trouble.reason, written.count) == ("ObjectRefused", 0)
    assert error.reason in written.trouble.message


async def test_a_secret_that_is_somebody_elses_is_left_alone() -> None:
    cluster, live = FakeCluster(), LiveSecrets(foreign={"post-config-index": "kubectl"})
    written = await write_config(cluster, live, post(), FILES)
    assert written.trouble is not None
    assert (written.trouble.reason, cluster.writes) == ("ObjectTaken", [])
