"""A configuration becomes Secrets of fixed names, written so that pods never miss what the index names."""

import base64

import pytest

from paquebot_mta.config.codec import digest
from paquebot_operator.desired import ConfigTooBigError, config_secrets
from paquebot_operator.desired.config_secrets import DIGEST_ANNOTATION, EMPTY_DIGEST, MAX_FILE_BYTES
from paquebot_operator.desired.metadata import Manifest
from tests.operator.builders import compiled, domain, service
from tests.operator.desired.services import mail_service

FILES = {"index.json": b"i", "service.json": b"s", "domains-0a.json": b"a", "domains-3f.json": b"f"}


def names_of(manifests: tuple[Manifest, ...]) -> list[str]:
    return [manifest["metadata"]["name"] for manifest in manifests]


def test_the_index_is_written_after_what_it_names() -> None:
    assert names_of(config_secrets(mail_service(), FILES)) == [
        "post-config-d0a",
        "post-config-d3f",
        "post-config-service",
        "post-config-index",
    ]


def test_a_secret_holds_one_file_and_says_its_digest() -> None:
    manifest = config_secrets(mail_service(), FILES)[0]
    assert manifest["data"] == {"domains-0a.json": base64.b64encode(b"a").decode()}
    assert manifest["metadata"]["annotations"][DIGEST_ANNOTATION] == digest(b"a")
    assert (manifest["type"], manifest["immutable"]) == ("paquebot.dev/config", False)


def test_a_shard_without_domains_is_emptied_after_the_index_forgot_it() -> None:
    there = {"post-config-d0a", "post-config-d11", "post-config-index", "unrelated", "post-config-service"}
    *_, index, emptied = config_secrets(mail_service(), FILES, there)
    assert names_of((index, emptied)) == ["post-config-index", "post-config-d11"]
    assert "data" not in emptied
    assert emptied["metadata"]["annotations"][DIGEST_ANNOTATION] == EMPTY_DIGEST


def test_secrets_go_with_the_mail_service() -> None:
    owners = [manifest["metadata"]["ownerReferences"] for manifest in config_secrets(mail_service(), FILES)]
    assert all(owner[0]["kind"] == "MailService" and owner[0]["controller"] for owner in owners)


def test_a_file_that_no_secret_holds_is_named_and_nothing_is_written() -> None:
    with pytest.raises(ConfigTooBigError, match=r"service\.json \(1048577 bytes\)") as raised:
        config_secrets(mail_service(), FILES | {"service.json": b"x" * (MAX_FILE_BYTES + 1)})
    assert [file.name for file in raised.value.files] == ["service.json"]


def test_a_file_as_big_as_a_secret_is_written() -> None:
    assert len(config_secrets(mail_service(), FILES | {"service.json": b"x" * MAX_FILE_BYTES})) == 4


def test_every_file_of_a_compilation_is_mounted() -> None:
    files = compiled(service(), domain()).files
    manifests = config_secrets(mail_service(), files)
    assert {key for manifest in manifests for key in manifest["data"]} == set(files)
