"""Configuration files as Secrets of fixed names, which all pods mount."""

import base64
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from paquebot_mta.config.codec import INDEX, SUFFIX, digest
from paquebot_operator.api.mailservice import MailService
from paquebot_operator.desired.metadata import Manifest, metadata
from paquebot_operator.desired.names import config_secret_name, config_secret_names

SECRET_TYPE = "paquebot.dev/config"  # noqa: S105 - the type of a Secret
CONFIG_LABEL = "paquebot.dev/config"
DIGEST_ANNOTATION = "paquebot.dev/sha256"
MAX_FILE_BYTES = 1_048_576
"""What the API server takes as data of one Secret, and what the MTA reads of one file."""
EMPTY_DIGEST = digest(b"")


@dataclass(frozen=True)
class BigFile:
    """A file that no Secret can hold."""

    name: str
    size_bytes: int


class ConfigTooBigError(ValueError):
    """Files that no Secret can hold; ``files`` names them. The message is fit for a condition."""

    def __init__(self, files: tuple[BigFile, ...]) -> None:
        self.files = files
        names = ", ".join(f"{file.name} ({file.size_bytes} bytes)" for file in files)
        super().__init__(
            f"{names}: a Secret holds {MAX_FILE_BYTES} bytes; move big inline tables and many certificates to another "
            "MailService"
        )


def config_secrets(
    service: MailService, files: Mapping[str, bytes], existing: Collection[str] = ()
) -> tuple[Manifest, ...]:
    """Spell a configuration as Secrets, in the order to write them: content first, the index after it.

    A shard that no domain lies in any more is emptied, not deleted: what it held is gone from the cluster and from the
    pods, and nobody needs the right to delete Secrets. The index doesn't name it by then.

    Args:
        files: as ``paquebot_mta.config.codec.dump`` gives them.
        existing: names of config Secrets that are there.

    Raises:
        ConfigTooBigError: a file is bigger than a Secret may be; nothing should be written then.
    """
    big = tuple(BigFile(name, len(content)) for name, content in sorted(files.items()) if len(content) > MAX_FILE_BYTES)
    if big:
        raise ConfigTooBigError(big)
    ordered = sorted(files.items(), key=lambda item: (item[0] == INDEX + SUFFIX, item[0]))
    written = tuple(_secret(service, name.removesuffix(SUFFIX), {name: content}) for name, content in ordered)
    kept = {manifest["metadata"]["name"] for manifest in written}
    stale = (name for name in config_secret_names(service.metadata.name) if name in existing and name not in kept)
    return (*written, *(_manifest(service, name, "", {}) for name in stale))


def _secret(service: MailService, file: str, data: Mapping[str, bytes]) -> Manifest:
    return _manifest(service, config_secret_name(service.metadata.name, file), file, data)


def _manifest(service: MailService, name: str, file: str, data: Mapping[str, bytes]) -> Manifest:
    annotations = {DIGEST_ANNOTATION: digest(b"".join(data.values()))}
    manifest: Manifest = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata(service, name, annotations=annotations, labels={CONFIG_LABEL: file or "empty"}),
        "type": SECRET_TYPE,
        "immutable": False,
    }
    if data:
        manifest["data"] = {key: base64.b64encode(content).decode() for key, content in data.items()}
    return manifest
