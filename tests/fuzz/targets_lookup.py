"""What comes from name servers, and what comes from the operator: answers and configuration."""

from collections.abc import Mapping
from functools import cache
from typing import Final

import msgspec

from paquebot_mta.config.codec import INDEX, SERVICE, SUFFIX, digest, dump, load, shard_of
from paquebot_mta.config.domains import DomainShard
from paquebot_mta.config.errors import ConfigError
from paquebot_mta.config.service import Index, MtaConfig, ShardRef
from paquebot_mta.config.tables import Table
from paquebot_mta.resolver.questions import Answer
from paquebot_mta.resolver.wire import (
    MAX_CHAIN,
    MAX_RECORDS,
    MAX_TTL_SECONDS,
    NameLeads,
    Query,
    make_query,
    parse_response,
    read_answer,
)
from tests.fuzz.material import Material

_TYPES: Final = ("MX", "A", "AAAA", "TXT", "PTR", "CNAME")
_ID: Final = 0x1234


@cache
def _query(rdtype: str) -> Query:
    return make_query("example.test", rdtype, _ID)


def fuzz_dns(data: bytes) -> None:
    """A response is another's, malformed, or an answer within bounds."""
    source = Material(data)
    choice = source.byte()
    query = _query(_TYPES[choice % len(_TYPES)])
    try:
        message = parse_response(query, _response(query, source, raw=bool(choice & 128)))
    except ValueError:
        return
    if message is not None:
        _check_answer(read_answer(message, trusted=bool(choice & 64)))


def _response(query: Query, source: Material, *, raw: bool) -> bytes:
    """Make a response: any bytes behind the id, or the question again and any bytes as the sections."""
    head = query.wire[:2]
    if raw:
        return head + source.rest()
    flags, counts = (
        bytes((0x80 | source.byte(), source.byte())),
        bytes((0, 1, 0, source.byte(), 0, source.byte(), 0, 0)),
    )
    question = query.wire[12 : query.wire.index(b"\0", 12) + 5]
    return head + flags + counts + question + source.rest()


def _check_answer(found: Answer | NameLeads) -> None:
    if isinstance(found, NameLeads):
        assert 0 < found.cnames <= MAX_CHAIN
        _check_name(found.target)
        return
    assert 0 <= found.ttl_seconds <= MAX_TTL_SECONDS
    assert len(found.records) <= MAX_RECORDS
    assert len(found.mx) <= MAX_RECORDS
    for _, exchange in found.mx:
        _check_name(exchange)


def _check_name(name: str) -> None:
    assert name.isascii()
    assert name.isprintable()
    assert " " not in name
    assert name == name.lower()


def fuzz_config(data: bytes) -> None:
    """A configuration is refused with a place and a reason, or spelled again so that the same is read."""
    service, _, shard = data.partition(b"\0")
    try:
        config = load(_files(service, shard))
    except ConfigError:
        return
    again = load(dump(config.service, config.domains.values(), config.generation, _own_tables(config)))
    assert (again.service, again.domains, again.tables) == (config.service, config.domains, config.tables)


def _own_tables(config: MtaConfig) -> Mapping[str, Table]:
    return {name: table for name, table in config.tables.items() if name not in config.service.tables}


def _files(service: bytes, shard: bytes) -> dict[str, bytes]:
    name = _shard_name(shard)
    refs = (ShardRef(name=name, sha256=digest(shard)),) if shard else ()
    index = Index(generation=1, service=ShardRef(name=SERVICE, sha256=digest(service)), domains=refs)
    files = {INDEX: msgspec.json.encode(index), SERVICE: service, name: shard}
    return {key + SUFFIX: content for key, content in files.items()}


def _shard_name(shard: bytes) -> str:
    """Name the shard as its first domain or table wants it."""
    try:
        found = msgspec.json.decode(shard, type=DomainShard)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return shard_of("")
    names = [*(each.name for each in found.domains), *found.tables]
    return shard_of(names[0]) if names else shard_of("")
