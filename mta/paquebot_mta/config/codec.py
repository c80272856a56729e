"""The document as files: canonical bytes out, checked values in.

A configuration is ``index.json`` (generation and the sha256 of each shard), ``service.json``, and up to 64 shards
``domains-00.json`` to ``domains-3f.json``. A domain, and a table of a domain, lies in the shard that the sha256 of its
own name gives, so that a change touches one shard. Equal values give equal bytes, always. Reads no disk.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Final, TypeVar

import msgspec

from paquebot_mta.config.domains import Domain, DomainShard
from paquebot_mta.config.errors import ConfigError, Faults
from paquebot_mta.config.service import Index, MtaConfig, ServiceShard, ShardRef
from paquebot_mta.config.tables import Table
from paquebot_mta.config.validate import validate

SHARDS: Final = 64
INDEX: Final = "index"
SERVICE: Final = "service"
SUFFIX: Final = ".json"

_Document = TypeVar("_Document")
_ENCODER: Final = msgspec.json.Encoder(order="deterministic")
_SHARD_NAME: Final = re.compile(r"domains-[0-3][0-9a-f]")
_AT: Final = re.compile(r"^(?P<reason>.*?)(?: - at `\$(?P<path>.*)`)?$", re.DOTALL)


def encode(value: msgspec.Struct) -> bytes:
    """Spell a value canonically: keys sorted, defaults left out, no white space."""
    return _ENCODER.encode(_pruned(value))


def spelling_fault(value: msgspec.Struct) -> str:
    """Say why a value can't be read back from its own spelling, empty if it can."""
    try:
        msgspec.json.decode(encode(value), type=type(value))
    except (msgspec.MsgspecError, ValueError) as error:
        return str(error)
    return ""


def digest(content: bytes) -> str:
    """Name bytes by their sha256, 64 hex digits."""
    return hashlib.sha256(content).hexdigest()


def shard_of(name: str) -> str:
    """Say which shard a domain or a domain's table lies in: ``domains-00`` to ``domains-3f``."""
    return f"domains-{hashlib.sha256(name.encode()).digest()[0] % SHARDS:02x}"


def dump(
    service: ServiceShard,
    domains: Iterable[Domain],
    generation: int,
    tables: Mapping[str, Table] | None = None,
) -> dict[str, bytes]:
    """Spell a configuration as files, name -> content; the order of ``domains`` and ``tables`` doesn't matter.

    Args:
        service: all but the domains.
        domains: each name once.
        generation: of the MailService, for people.
        tables: tables of the domains, beside the service's own; names are shared with those.
    """
    shards = {name: encode(shard) for name, shard in _shards(domains, tables or {}).items()}
    service_bytes = encode(service)
    index = Index(
        generation=generation,
        service=ShardRef(name=SERVICE, sha256=digest(service_bytes)),
        domains=tuple(ShardRef(name=name, sha256=digest(content)) for name, content in sorted(shards.items())),
    )
    files = {INDEX: encode(index), SERVICE: service_bytes, **shards}
    return {name + SUFFIX: content for name, content in files.items()}


def load(files: Mapping[str, bytes]) -> MtaConfig:
    """Read a configuration back; files that the index doesn't name are passed over.

    Raises:
        ConfigError: a file is missing or is not what the index says, a field is unknown or wrong, a reference points
            nowhere; the error names each place.
    """
    index_bytes = _file(files, INDEX)
    index = _decode(index_bytes, INDEX, Index)
    service = _decode(_verified(files, index.service), SERVICE, ServiceShard)
    shards = {ref.name: _decode(_verified(files, ref), ref.name, DomainShard) for ref in _domain_refs(index)}
    faults = Faults()
    config = MtaConfig(
        digest=digest(index_bytes),
        generation=index.generation,
        service=service,
        domains=_merged_domains(shards, faults),
        tables=_merged_tables(service, shards, faults),
    )
    validate(config, shards, faults)
    faults.stop_if_any()
    return config


def _pruned(value: object) -> object:
    """Leave out what equals its default; msgspec itself leaves out the very same object only, whatever it equals."""
    if isinstance(value, msgspec.Struct):
        pairs = ((name, getattr(value, field), default) for name, field, default in _defaults_of(type(value)))
        tag_field, tag = value.__struct_config__.tag_field, value.__struct_config__.tag
        tagged = {} if tag_field is None else {tag_field: tag}
        return tagged | {name: _pruned(item) for name, item, default in pairs if item != default}
    if isinstance(value, dict):
        return {key: _pruned(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return [_pruned(item) for item in value]
    return value


@cache
def _defaults_of(kind: type[msgspec.Struct]) -> tuple[tuple[str, str, object], ...]:
    """Name on the wire, name and default of each field; a field without one has msgspec's NODEFAULT."""
    return tuple(
        (
            field.encode_name,
            field.name,
            field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory(),
        )
        for field in msgspec.structs.fields(kind)
    )


def _shards(domains: Iterable[Domain], tables: Mapping[str, Table]) -> dict[str, DomainShard]:
    domains_of: dict[str, list[Domain]] = {}
    tables_of: dict[str, dict[str, Table]] = {}
    for domain in sorted(domains, key=lambda each: each.name):
        domains_of.setdefault(shard_of(domain.name), []).append(domain)
    for name, table in tables.items():
        tables_of.setdefault(shard_of(name), {})[name] = table
    return {
        name: DomainShard(domains=tuple(domains_of.get(name, ())), tables=tables_of.get(name, {}))
        for name in domains_of.keys() | tables_of.keys()
    }


def _file(files: Mapping[str, bytes], name: str) -> bytes:
    try:
        return files[name + SUFFIX]
    except KeyError:
        raise ConfigError(name, "the file is missing") from None


def _verified(files: Mapping[str, bytes], ref: ShardRef) -> bytes:
    content = _file(files, ref.name)
    if (found := digest(content)) != ref.sha256:
        raise ConfigError(ref.name, f"the content's sha256 is {found}, the index says {ref.sha256}")
    return content


def _domain_refs(index: Index) -> tuple[ShardRef, ...]:
    """Refuse an index that names a shard twice, or by a name that no shard has."""
    if index.service.name != SERVICE:
        raise ConfigError("index.service.name", f"the service's shard is called {SERVICE!r}")
    names = [ref.name for ref in index.domains]
    for place, name in enumerate(names):
        if not _SHARD_NAME.fullmatch(name) or name in names[:place]:
            raise ConfigError(f"index.domains[{place}].name", f"{name!r} is not a shard's name, or is named twice")
    return index.domains


def _decode(content: bytes, shard: str, kind: type[_Document]) -> _Document:
    try:
        return msgspec.json.decode(content, type=kind)
    except (msgspec.MsgspecError, ValueError) as error:
        found = _AT.match(str(error))
        reason, path = (found["reason"], found["path"] or "") if found else (str(error), "")
        raise ConfigError(shard + path, reason) from None


def _merged_domains(shards: Mapping[str, DomainShard], faults: Faults) -> dict[str, Domain]:
    merged: dict[str, Domain] = {}
    for shard, content in shards.items():
        for place, domain in enumerate(content.domains):
            where = f"{shard}.domains[{place}].name"
            faults.check(that=domain.name not in merged, path=where, reason=f"{domain.name} is there twice")
            faults.check(that=shard_of(domain.name) == shard, path=where, reason=f"{domain.name} is in a wrong shard")
            merged[domain.name] = domain
    return merged


def _merged_tables(service: ServiceShard, shards: Mapping[str, DomainShard], faults: Faults) -> dict[str, Table]:
    merged = dict(service.tables)
    for shard, content in shards.items():
        for name, table in content.tables.items():
            where = f"{shard}.tables.{name}"
            faults.check(that=name not in merged, path=where, reason="the name is taken by another table")
            faults.check(that=shard_of(name) == shard, path=where, reason="the table is in a wrong shard")
            merged[name] = table
    return merged
