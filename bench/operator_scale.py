"""Many MailDomains on a real API server: how long until pods run them all, and what changes and a restart cost.

Three real `paquebot mta` take the configuration; nothing but the kubelet is left out. The API server's part is shown
beside it: the same objects created while no operator runs, and whose CPU the time was.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from msgspec import Struct

from bench.usage import PROC, TICKS_PER_SECOND, cpu_of, parse_stat
from tests.kube.control_plane import ControlPlane, running_control_plane
from tests.kube.operator_case import API, SERVICE, Case, eventually, install_definitions, mail_domain, mail_service
from tests.kube.operator_process import OperatorProcess, running_operator
from tests.kube.real_pods import RealPod, real_pods
from tests.kube.watched import open_session
from tests.support.processes import free_port

AT_ONCE = 16
"""Objects that are created at a time."""
PODS = 3
CHANGES = 20
IDLE_SECONDS = 5.0
LONGEST_SECONDS = 900.0
Say = Callable[[str], None]


class Figures(Struct, frozen=True, kw_only=True):
    """What was measured with so many MailDomains; times in seconds, from the first creation if nothing else is said.

    Attributes:
        alone_seconds: to create the same objects while no operator runs.
        created_seconds, programmed_seconds: until the last one was created, and said that pods run it.
        cpu_seconds: used in that time, by what used it.
        bulk_writes: of the operator in that time, by verb and kind.
        change_writes: of the operator for one change of a domain, by verb and kind, the nudges of pods left out, and
            ``change_nudges`` these.
        resident_bytes: of the operator, at most.
        restart_seconds: from its start until it knows all; ``restart_writes``: what it wrote then.
        deleted_seconds: from the first deletion until no pod has one.
    """

    domains: int
    alone_seconds: float
    created_seconds: float
    programmed_seconds: float
    cpu_seconds: dict[str, float]
    bulk_writes: dict[str, float]
    change_writes: dict[str, float]
    change_nudges: float
    resident_bytes: int
    restart_seconds: float
    restart_writes: dict[str, float]
    deleted_seconds: float


@dataclass(frozen=True)
class Ground:
    """One run: an API server, an operator, pods."""

    case: Case
    operator: OperatorProcess
    pods: list[RealPod]

    def cpu(self) -> dict[str, float]:
        """CPU seconds of each part so far."""
        plane = self.case.plane
        alone = {"operator": self.operator.process.pid, "kube-apiserver": plane.apiserver.pid, "etcd": plane.etcd.pid}
        found = {name: _cpu_of(pid or 0) for name, pid in alone.items()}
        return {**found, "pods": sum(cpu_of(pod.process.pid).total_seconds for pod in self.pods)}

    def programmed(self) -> int:
        """How many domains the operator says pods run."""
        return int(self.operator.count("paquebot_operator_domains", state="programmed"))

    def is_quiet(self) -> bool:
        """Whether no status waits to be written."""
        return self.operator.count("paquebot_operator_statuses_waiting") == 0

    def pods_have(self, number: int) -> bool:
        """Whether each pod says that it serves so many domains."""
        return all(_domains_in(pod) == number for pod in self.pods)


def measure(domains: int, directory: Path, say: Say) -> Figures:
    """Measure with so many MailDomains, below an empty directory."""
    with running_control_plane(directory / "plane") as plane:
        install_definitions(plane)
        alone = _created_alone(plane, domains)
        say(f"{domains} MailDomains created in {alone:.1f} s while no operator runs")
        case = Case(plane, plane.api.new_namespace(), directory)
        case.apply(mail_service(listeners=[{"name": "mx", "port": free_port()}]))
        with real_pods(plane, case.namespace, SERVICE, PODS, directory / "pods") as pods:
            bulk = _bulk(case, pods, domains, say)
            restarted = _restarted(case, pods, domains, say)
    return Figures(domains=domains, alone_seconds=alone, **bulk, **restarted)


def _bulk(case: Case, pods: list[RealPod], domains: int, say: Say) -> dict[str, Any]:
    """Create all, then change one after the other."""
    with running_operator(case.directory, case.plane, case.namespace) as operator:
        ground = Ground(case, operator, pods)
        eventually(lambda: case.condition("MailService", SERVICE, "Ready")[0] == "True", "a ready pool", 60.0)
        time.sleep(1.0)
        cpu, writes, started = ground.cpu(), operator.writes(), time.monotonic()
        _run(lambda session: _create(session, case.namespace, domains), case.plane)
        created = time.monotonic() - started
        eventually(lambda: ground.programmed() == domains and ground.is_quiet(), "all programmed", LONGEST_SECONDS)
        eventually(lambda: _all_say_so(case, domains), "each says so", LONGEST_SECONDS)
        programmed = time.monotonic() - started
        used = {name: seconds - cpu[name] for name, seconds in ground.cpu().items()}
        spent = _difference(operator.writes(), writes)
        say(f"created in {created:.1f} s, all programmed after {programmed:.1f} s")
        time.sleep(IDLE_SECONDS)
        changes, nudges = _changes(ground)
        found = {
            "created_seconds": created,
            "programmed_seconds": programmed,
            "cpu_seconds": used,
            "bulk_writes": spent,
            "change_writes": changes,
            "change_nudges": nudges,
            "resident_bytes": _peak_bytes(operator.process.pid),
        }
        operator.end()
    return found


def _restarted(case: Case, pods: list[RealPod], domains: int, say: Say) -> dict[str, Any]:
    """Start again where nothing changed, then delete all."""
    started = time.monotonic()
    with running_operator(case.directory, case.plane, case.namespace) as operator:
        ground = Ground(case, operator, pods)
        eventually(lambda: ground.programmed() == domains, "all known", 120.0)
        restart = time.monotonic() - started
        time.sleep(2 * IDLE_SECONDS)
        eventually(ground.is_quiet, "no status waits", 120.0)
        writes = operator.writes()
        say(f"started again in {restart:.1f} s, {sum(writes.values()):.0f} writes")
        started = time.monotonic()
        _run(lambda session: _delete(session, case.namespace, domains), case.plane)
        eventually(lambda: ground.pods_have(0), "no pod has a domain", LONGEST_SECONDS)
        deleted = time.monotonic() - started
        operator.end()
    return {"restart_seconds": restart, "restart_writes": writes, "deleted_seconds": deleted}


def _changes(ground: Ground) -> tuple[dict[str, float], float]:
    """Writes and nudges a change, of changes one after the other."""
    before = ground.operator.writes()
    for number in range(CHANGES):
        name = "changing"
        ground.case.apply(mail_domain(name, mailboxes=["postmaster", f"user{number}"]))
        eventually(lambda: ground.case.is_programmed("changing"), "programmed", 30.0)
        time.sleep(0.5)
    time.sleep(IDLE_SECONDS)
    spent = _difference(ground.operator.writes(), before)
    ground.case.delete("MailDomain", "changing")
    time.sleep(IDLE_SECONDS)
    nudges = spent.pop("patch pods", 0.0)
    return {name: count / CHANGES for name, count in spent.items()}, nudges / CHANGES


def _created_alone(plane: ControlPlane, domains: int) -> float:
    namespace = plane.api.new_namespace()
    started = time.monotonic()
    _run(lambda session: _create(session, namespace, domains), plane)
    took = time.monotonic() - started
    _run(lambda session: _delete(session, namespace, domains), plane)
    return took


async def _create(session: aiohttp.ClientSession, namespace: str, number: int) -> None:
    async def create(name: str) -> None:
        async with session.post(_path(namespace), json=mail_domain(name), raise_for_status=True):
            pass

    await _each(create, number)


async def _delete(session: aiohttp.ClientSession, namespace: str, number: int) -> None:
    async def delete(name: str) -> None:
        async with session.delete(f"{_path(namespace)}/{name}", raise_for_status=True):
            pass

    await _each(delete, number)


async def _each(work: Callable[[str], Coroutine[Any, Any, None]], number: int) -> None:
    """Work on each name, some at a time."""
    names = (f"d{each:05d}" for each in range(number))

    async def some() -> None:
        for name in names:
            await work(name)

    await asyncio.gather(*(some() for _ in range(AT_ONCE)))


def _run(work: Callable[[aiohttp.ClientSession], Coroutine[Any, Any, None]], plane: ControlPlane) -> None:
    certificates = plane.authority.directory

    async def run() -> None:
        ca, mine = str(plane.authority.path), [str(certificates / f"admin.{each}") for each in ("crt", "key")]
        async with open_session(plane.api.url, ca, *mine) as session:
            await work(session)

    asyncio.run(run())


def _all_say_so(case: Case, domains: int) -> bool:
    """Whether each MailDomain's status says that pods run its newest generation."""
    said = 0
    for item in _pages(case):
        conditions = {each["type"]: each for each in item.get("status", {}).get("conditions", ())}
        programmed = conditions.get("Programmed", {})
        generation = item["metadata"]["generation"]
        said += programmed.get("status") == "True" and programmed["observedGeneration"] == generation
    return said == domains


def _pages(case: Case) -> Iterator[dict[str, Any]]:
    token = ""
    while True:
        body = case.rest.request("GET", f"{_path(case.namespace)}?limit=500&continue={token}").body
        yield from body["items"]
        token = body["metadata"].get("continue", "")
        if not token:
            return


def _path(namespace: str) -> str:
    return f"/apis/{API}/namespaces/{namespace}/maildomains"


def _domains_in(pod: RealPod) -> int:
    """How many domains a pod runs; -1 while it takes a change."""
    shards = (pod.directory / "config").glob("domains-*.json")
    try:
        return sum(each.read_bytes().count(b'"mailboxes"') for each in shards) if pod.runs_newest() else -1
    except FileNotFoundError:
        return -1


def _difference(after: dict[str, float], before: dict[str, float]) -> dict[str, float]:
    found = {name: count - before.get(name, 0) for name, count in after.items()}
    return {name: count for name, count in sorted(found.items()) if count}


def _cpu_of(pid: int) -> float:
    stat = parse_stat((PROC / str(pid) / "stat").read_text())
    return (stat.user_ticks + stat.system_ticks) / TICKS_PER_SECOND


def _peak_bytes(pid: int) -> int:
    for line in (PROC / str(pid) / "status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0
