"""The queue: compression and key ring arrive; a ring that can't be used never turns encryption off."""

import base64
import json
from typing import Any

import pytest

from paquebot_mta.config.key_ring import parse_key_ring
from paquebot_mta.config.service import Queue
from paquebot_operator.compile.last_good import LastGood
from paquebot_operator.compile.service import compile_service
from tests.operator.builders import KEY, NOW, compiled, found, objects, secret, service

KEY_TEXT = base64.b64encode(bytes(range(32))).decode()
REF = {"keyRingRef": {"name": "ring"}}


def ring(**changes: Any) -> str:
    return json.dumps([{"id": 1, "key": KEY_TEXT, "createdAt": "2026-06-01T00:00:00Z"} | changes])


def queue(text: str, **spec: Any) -> Queue:
    config = compiled(service(queue=spec | REF), secret("ring", keyRing=text)).config
    assert config is not None
    return config.service.queue


def test_nothing_written_is_neither_compressed_nor_encrypted() -> None:
    config = compiled(service()).config
    assert config is not None
    assert (config.service.queue.compression, config.service.queue.key_ring) == ("None", "")


def test_compression_and_key_ring_arrive() -> None:
    arrived = queue(f"\n{ring()}\n", compression="Zstd")
    assert arrived.compression == "Zstd"
    assert [key.id for key in parse_key_ring(arrived.key_ring)] == [1]


@pytest.mark.parametrize(
    "text",
    [
        "", "  ", "[]", "{}", "secret-value", "[1]", ring(id=0), ring(id=2**32), ring(key="secret-value"), ring(key=""),
        ring(key=base64.b64encode(bytes(32)).decode()), ring(key=base64.b64encode(b"secret-value").decode()),
        ring(passphrase="secret-value-that-is-long"), ring(key="", passphrase="secret-value"), ring(createdAt="today"),
        ring(createdAt="2026-06-01T00:00:00"), ring(secret="secret-value"), json.dumps(json.loads(ring()) * 2),
        json.dumps([dict(json.loads(ring())[0], id=kid + 1) for kid in range(65)]),
    ],
)  # fmt: skip
def test_a_ring_that_is_none_is_refused_without_a_word_of_it(text: str) -> None:
    result = compiled(service(queue=REF), secret("ring", keyRing=text))
    assert not result.files
    condition = found(result, "MailService", "InvalidKeyRing")
    assert condition.field == "spec.queue.keyRingRef"
    assert "secret-value" not in str(result.conditions)


def test_a_missing_secret_keeps_what_is_in_force() -> None:
    good = compiled(service(queue=REF), secret("ring", keyRing=ring()))
    assert good.config is not None
    last = LastGood(good.config, {})
    after = compile_service(objects(service(queue=REF)), KEY, now=NOW, last=last)
    assert found(after, "MailService", "SecretNotFound").status == "False"
    assert after.config is not None
    assert after.config.service.queue.key_ring == good.config.service.queue.key_ring != ""


def test_a_key_s_spelling_shows_nothing_of_it() -> None:
    (key,) = parse_key_ring(ring())
    assert repr(key) == str(key) == "RingKey(id=1)"
