"""Names of what a MailService owns: fixed, valid for every kind, never longer than the kind allows."""

import hashlib
import re

from paquebot_mta.config.codec import INDEX, SERVICE, SHARDS

MAX_LABEL = 63
MAX_WORKLOAD_NAME = 52
"""A StatefulSet's revision label is its name and eleven characters more; a label has at most 63."""

_DNS_LABEL = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_DIGEST_CHARACTERS = 8
_SHARD_PREFIX = "domains-"


def bounded(base: str, suffix: str = "", limit: int = MAX_LABEL) -> str:
    """``base`` and ``suffix`` as one DNS label (RFC 1035): as they are if they fit, else cut and with a digest."""
    whole = base + suffix
    if len(whole) <= limit and _DNS_LABEL.fullmatch(whole):
        return whole
    return _digested(base, base, suffix, limit)


def _digested(identity: str, base: str, suffix: str, limit: int) -> str:
    digest = hashlib.sha256(identity.encode()).hexdigest()[:_DIGEST_CHARACTERS]
    plain = base.replace(".", "-")
    plain = plain if plain[0].isalpha() else f"s{plain}"
    return f"{plain[: limit - len(suffix) - _DIGEST_CHARACTERS - 1].rstrip('-')}-{digest}{suffix}"


def service_label(service: str) -> str:
    """Value of the label ``paquebot.dev/service``."""
    return bounded(service)


def workload_name(service: str) -> str:
    """Deployment or StatefulSet, and all that there is once beside it."""
    return bounded(service, "-mta", MAX_WORKLOAD_NAME)


def claim_name(service: str) -> str:
    """The PersistentVolumeClaim of a shared queue."""
    return bounded(service, "-queue", MAX_WORKLOAD_NAME)


def listener_service_name(service: str, listener: str) -> str:
    """The Service of a listener; no two listeners of two services in a namespace share a name.

    ``post-mx``, and ``post--mx-eu`` for a listener with a dash: ``post-mx-eu`` is the listener ``eu`` of ``post-mx``.
    """
    if "--" in service or "--" in listener:
        return _digested(f"{service}/{listener}", f"{service}-{listener}", "", MAX_LABEL)
    return bounded(f"{service}--{listener}" if "-" in listener else f"{service}-{listener}")


def config_secret_name(service: str, file: str) -> str:
    """The Secret of a configuration file, named without ``.json``: ``index``, ``service``, ``domains-00``."""
    return bounded(service, f"-config-{file.replace(_SHARD_PREFIX, 'd')}")


def config_secret_names(service: str) -> tuple[str, ...]:
    """All Secrets that pods mount, whether they are there or not."""
    files = (INDEX, SERVICE, *(f"{_SHARD_PREFIX}{shard:02x}" for shard in range(SHARDS)))
    return tuple(config_secret_name(service, file) for file in files)


def dkim_secret_name(domain: str) -> str:
    """The Secret of a MailDomain's managed DKIM keys; a Secret's name may be longer than a label."""
    return f"{domain}-dkim" if len(domain) <= 253 - len("-dkim") else bounded(domain, "-dkim")
