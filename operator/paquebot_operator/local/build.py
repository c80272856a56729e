"""From a directory of manifests and a state directory to a configuration that an MTA can start with."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from paquebot_mta.config.service import MtaConfig
from paquebot_operator.compile.conditions import ObjectCondition, Report
from paquebot_operator.compile.judge import Judgement, judge
from paquebot_operator.compile.objects import ObjectKey, Objects
from paquebot_operator.compile.service import Compiled
from paquebot_operator.local.check import Finding
from paquebot_operator.local.manifests import read_directory
from paquebot_operator.local.state import State
from paquebot_operator.local.wanted import Wanted, WantedCertificate, WantedUsers, wanted_secrets

Snapshot = tuple[tuple[str, int, int, int], ...]


@dataclass(frozen=True)
class Build:
    """What came of the manifests.

    Attributes:
        files, config: the configuration; empty and None if there is an error in any manifest.
        findings: all that was said about them.
        generated: the Secrets that were made on the spot.
    """

    files: Mapping[str, bytes]
    config: MtaConfig | None
    findings: tuple[Finding, ...]
    generated: tuple[Wanted, ...]

    @property
    def certificate(self) -> WantedCertificate | None:
        """The first generated certificate."""
        return next((each for each in self.generated if isinstance(each, WantedCertificate)), None)

    @property
    def users(self) -> tuple[str, ...]:
        """Users with a generated password."""
        return tuple(user for each in self.generated if isinstance(each, WantedUsers) for user in each.users)


def build(directory: Path, state: State, service: ObjectKey | None, now: datetime) -> Build:
    """Compile the manifests; Secrets that they ask for are made and kept in ``state``.

    Unlike in a cluster, any error refuses the whole: somebody is watching, and half a change would be a surprise.
    """
    manifests = read_directory(directory)
    wanted = wanted_secrets(Objects.of(manifests.objects))
    objects = Objects.of((*manifests.objects, *state.secrets_for(wanted, now)), local=True)
    judged = judge(objects, now=now)
    chosen, missing = _chosen(judged, service)
    conditions = sorted({*manifests.conditions, *judged.conditions, *missing})
    findings = tuple(Finding(condition, manifests.place_of(condition)) for condition in conditions)
    if chosen is None or any(condition.severity == "Error" for condition in conditions):
        return Build({}, None, findings, wanted)
    return Build(chosen.files, chosen.config, findings, wanted)


def snapshot(directory: Path) -> Snapshot:
    """What changes whenever a file of the directory may have: name, time, size and inode of each."""
    found = []
    for path in sorted(directory.iterdir()):
        try:
            status = path.stat()
        except OSError:
            continue
        found.append((path.name, status.st_mtime_ns, status.st_size, status.st_ino))
    return tuple(found)


def _chosen(judged: Judgement, service: ObjectKey | None) -> tuple[Compiled | None, list[ObjectCondition]]:
    keys = [service] if service is not None else list(judged.services)
    if len(keys) == 1 and keys[0] in judged.services:
        return judged.services[keys[0]], []
    names = ", ".join(str(key) for key in judged.services) or "none"
    report = Report("MailService", service or ObjectKey("", ""))
    message = f"one MailService is run, found: {names}; choose by --service NAMESPACE/NAME"
    report.refuse("ServiceNotFound", "", message)
    return None, report.found
