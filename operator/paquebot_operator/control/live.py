"""What the cluster has of a service already: its configuration, read back from its Secrets."""

import asyncio
import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from paquebot_mta.config.codec import INDEX, SERVICE, SUFFIX, digest, encode, load
from paquebot_mta.config.errors import ConfigError
from paquebot_mta.config.service import Index, MtaConfig, ShardRef
from paquebot_operator.cluster.api import Api
from paquebot_operator.cluster.errors import AbsentError
from paquebot_operator.cluster.resources import SECRETS, Json, Place
from paquebot_operator.compile.attached import revision_of
from paquebot_operator.compile.last_good import LastGood
from paquebot_operator.compile.objects import ObjectKey
from paquebot_operator.control.marks import writer_of
from paquebot_operator.desired.config_secrets import SECRET_TYPE
from paquebot_operator.desired.names import config_secret_names

IN_FLIGHT = 16


@dataclass
class LiveSecrets:
    """Config Secrets of a service.

    Attributes:
        marks: by name, what would be equal for an equal Secret (``mark_of``); absent ones are not in it.
        versions: of the API server, by name, like ``marks``.
        files: of the configuration, name to bytes.
        foreign: names of Secrets that are not ours, and who made them.
    """

    marks: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    foreign: dict[str, str] = field(default_factory=dict)


def mark_of(secret: Json) -> str:
    """Name what a Secret says: its owner and its data; a person's edit gives another mark."""
    owners = [each.get("uid", "") for each in secret["metadata"].get("ownerReferences") or ()]
    return digest(msgspec.json.encode([owners, sorted((secret.get("data") or {}).items())]))


async def read_live(api: Api, service: ObjectKey) -> LiveSecrets:
    """Read all config Secrets of a service; raises ClusterError."""
    slots, live = asyncio.Semaphore(IN_FLIGHT), LiveSecrets()

    async def read(name: str) -> None:
        async with slots:
            try:
                secret = await api.get(SECRETS, Place(service.namespace, name))
            except AbsentError:
                return
        if secret.get("type") != SECRET_TYPE:
            live.foreign[name] = writer_of(secret)
            return
        live.marks[name] = mark_of(secret)
        live.versions[name] = str(secret["metadata"].get("resourceVersion", ""))
        for key, text in (secret.get("data") or {}).items():
            try:
                live.files[key] = base64.b64decode(text, validate=True)
            except binascii.Error:
                live.marks[name] = ""

    await asyncio.gather(*(read(name) for name in config_secret_names(service.name)))
    return live


def config_of(files: Mapping[str, bytes]) -> MtaConfig | None:
    """The configuration in files; where an operator ended between two writes, what the files say, not the index."""
    try:
        return load(files)
    except ConfigError:
        pass
    try:
        return load(_with_new_index(files))
    except (ConfigError, KeyError):
        return None


def last_good_of(config: MtaConfig, revisions: Mapping[ObjectKey, tuple[str, str]]) -> LastGood:
    """A configuration with the owners of its domains.

    Args:
        revisions: name and programmed revision of MailDomains, from their statuses: who had an entry programmed is its
            owner.
    """
    owners = {}
    for key, (name, revision) in revisions.items():
        entry = config.domains.get(name)
        if entry is not None and revision == _revision(config, name):
            owners[name] = key
    return LastGood(config, owners)


def _revision(config: MtaConfig, name: str) -> str:
    entry = config.domains[name]
    return revision_of(entry, LastGood(config, {}).used_by(entry).tables)


def _with_new_index(files: Mapping[str, bytes]) -> dict[str, bytes]:
    names = sorted(name.removesuffix(SUFFIX) for name in files if name.startswith("domains-"))
    index = Index(
        generation=0,
        service=ShardRef(name=SERVICE, sha256=digest(files[SERVICE + SUFFIX])),
        domains=tuple(ShardRef(name=name, sha256=digest(files[name + SUFFIX])) for name in names),
    )
    return {**files, INDEX + SUFFIX: encode(index)}
