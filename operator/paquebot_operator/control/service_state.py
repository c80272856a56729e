"""What is known of one MailService between two passes, and the statuses that follow from it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from paquebot_operator.api.mailservice import MailService
from paquebot_operator.compile.attached import Memory, Unit
from paquebot_operator.compile.last_good import LastGood
from paquebot_operator.compile.objects import ObjectKey
from paquebot_operator.compile.service import Compiled
from paquebot_operator.control.conditions import Said, merged, ready_of
from paquebot_operator.control.live import LiveSecrets
from paquebot_operator.control.programming import Programming
from paquebot_operator.control.rollout import Follow, Rollout
from paquebot_operator.control.status_queue import Wish
from paquebot_operator.desired.names import service_label
from paquebot_operator.desired.services import client_ip_condition

MAX_PODS: Final = 100
MAX_REASON: Final = 1_000


@dataclass
class ServiceState:
    """One service.

    Attributes:
        live: config Secrets as they are; None before they were read.
        last: the configuration that was written last.
        wanted: digest of the configuration that pods should run; empty without one.
        units: its MailDomains, as they were compiled.
        troubles: why objects or the configuration could not be written, for people.
    """

    key: ObjectKey
    rollout: Rollout
    live: LiveSecrets | None = None
    last: LastGood | None = None
    wanted: str = ""
    memory: Memory = field(default_factory=Memory)
    programming: Programming = field(default_factory=lambda: Programming({}))
    compiled: Compiled | None = None
    service: MailService | None = None
    units: Mapping[ObjectKey, Unit] = field(default_factory=dict)
    troubles: tuple[Said, ...] = ()

    def domain_wish(self, key: ObjectKey, held_status: bytes, fault: str, extra: "Extra") -> Wish | None:
        """The status of one MailDomain; None if it is no matter of this service any more."""
        unit = self.units.get(key)
        if unit is None:
            return None
        judged = merged(unit.conditions)
        if fault:
            judged = [_invalid(fault), *(said for said in judged if said.type != "Accepted")]
        conditions = [*judged, self._domain_programmed(key), *extra.conditions]
        conditions.append(ready_of([said for said in conditions if said.type not in extra.informative]))
        revision = self.programming.programmed.get(key, "")
        fields: dict[str, Any] = {
            "programmedRevision": revision,
            "programmedPods": self._programmed_pods(revision, held_status),
            "dnsRecords": list(extra.dns_records),
            "mtaStsPolicy": extra.mta_sts_policy,
        }
        return Wish(tuple(conditions), unit.source.metadata.generation, _without_empty(fields))

    def service_wish(self, domains_total: int, fault: str) -> Wish | None:
        """The status of the MailService."""
        compiled, service = self.compiled, self.service
        if compiled is None or service is None:
            return None
        mine = (each for each in compiled.conditions if each.kind == "MailService")
        judged = [_invalid(fault)] if fault else merged(mine)
        conditions = [*judged, self._service_programmed()]
        conditions.append(ready_of(conditions))
        # Mail goes without it, so it says nothing of Ready.
        addresses = client_ip_condition(service)
        if addresses is not None:
            conditions.append(Said(addresses.type, addresses.status, addresses.reason, addresses.message))
        follows = self.rollout.follows
        fields = {
            "replicas": len(follows),
            "readyReplicas": sum(follow.pod.ready for follow in follows),
            "selector": f"paquebot.dev/service={service_label(self.key.name)}",
            "configDigest": self.wanted,
            "configGeneration": self.last.config.generation if self.last is not None else 0,
            "domains": self.counts(domains_total),
            "pods": [_pod_status(follow) for follow in follows[:MAX_PODS]],
        }
        return Wish(tuple(conditions), service.metadata.generation, fields)

    def counts(self, total: int) -> dict[str, int]:
        """MailDomains by state."""
        kept = self.compiled.kept if self.compiled is not None else frozenset()
        accepted = sum(unit.domain is not None and key not in kept for key, unit in self.units.items())
        return {"total": total, "accepted": accepted, "programmed": len(self.programming) - self.programming.waiting}

    def _programmed_pods(self, revision: str, held_status: bytes) -> str:
        """How many pods it was programmed in; it is not written anew when pods come and go."""
        if not revision:
            return ""
        before = msgspec.json.decode(held_status, type=dict[str, Any])
        if before.get("programmedRevision") == revision and before.get("programmedPods"):
            return str(before["programmedPods"])
        ready = len(self.rollout.running())
        return f"{ready}/{ready}"

    def _domain_programmed(self, key: ObjectKey) -> Said:
        compiled = self.compiled
        unit = self.units[key]
        if compiled is not None and key in compiled.kept:
            return Said(
                "Programmed", "False", "LastGoodKept", "the last good entry stays in force until this is repaired"
            )
        if unit.domain is None:
            return Said("Programmed", "False", "NotAccepted", "left out of the configuration: see the other conditions")
        if self.programming.is_programmed(key) and self.programming.revision(key) == unit.revision:
            return Said("Programmed", "True", "Programmed")
        if compiled is not None and (compiled.config is None or self.troubles):
            message = f"MailService {self.key} has errors, see its conditions"
            return Said("Programmed", "False", "ServiceNotProgrammed", message)
        return self.waiting()

    def _service_programmed(self) -> Said:
        if self.troubles:
            return self.troubles[0]
        if self.compiled is not None and self.key in self.compiled.kept:
            return Said("Programmed", "False", "LastGoodKept", "the last good configuration stays in force: see above")
        if not self.wanted:
            return Said("Programmed", "False", "NotAccepted", "there is no configuration yet: see the other conditions")
        refused = self._refusing()
        if refused:
            reason = refused[0].said.rejected_reason[:MAX_REASON]
            return Said("Programmed", "False", "PodRejected", f"pod {refused[0].pod.name} refused it: {reason}")
        return Said("Programmed", "True", "Programmed") if self.rollout.is_done() else self.waiting()

    def is_written(self) -> bool:
        """Whether what was compiled last is what pods should run: it was in order, and its Secrets could be written."""
        config = self.compiled.config if self.compiled is not None else None
        return config is not None and config.digest == self.wanted

    def is_refused(self) -> bool:
        """Whether any of what the service wants is not in the cluster: the compiler or the API server refused it."""
        is_kept = self.compiled is not None and self.key in self.compiled.kept
        return bool(self.troubles) or is_kept or not self.is_written()

    def waiting(self) -> Said:
        """Why a domain that is in order is not programmed; the same for all, so that it is seldom another."""
        if self._refusing():
            message = f"a pod refuses the configuration: see the conditions and pods of MailService {self.key}"
            return Said("Programmed", "False", "PodRejected", message)
        if not self.rollout.running():
            return Said("Programmed", "False", "NoReadyPods", "no pod is ready: see the pods of the MailService")
        return Said("Programmed", "False", "Pending", "pods are taking the configuration")

    def _refusing(self) -> list[Follow]:
        """Pods that refuse what they should run."""
        refused = (each for each in self.rollout.follows if each.said.rejected_digest in (self.wanted, "-"))
        return [each for each in refused if not self.rollout.runs_wanted(each)]


@dataclass(frozen=True)
class Extra:
    """What is said of a domain's publication in DNS; conditions of ``informative`` types don't count for Ready."""

    conditions: tuple[Said, ...] = ()
    dns_records: Sequence[dict[str, Any]] = ()
    mta_sts_policy: str = ""
    informative: frozenset[str] = frozenset({"DNSReady", "DKIMReady"})


def _invalid(fault: str) -> Said:
    return Said("Accepted", "False", "Invalid", f"{fault}; what it was before stays in force"[:MAX_REASON])


def _pod_status(follow: Follow) -> dict[str, Any]:
    said = follow.said
    return _without_empty(
        {
            "name": follow.pod.name,
            "node": follow.pod.node,
            "ready": follow.pod.ready,
            "digest": said.digest,
            "generation": said.generation,
            "rejected": said.rejected_digest,
            "rejectedReason": said.rejected_reason[:MAX_REASON],
        }
    )


def _without_empty(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value not in ("", 0, [], None)}
