"""A filter program in a container of its own: made by the documents' lines, with nothing that it wasn't given."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.kube.api import Manifest
from tests.kube.cluster import Cluster
from tests.kube.programs import directory as kube_programs
from tests.support.fake_mx import FakeMx
from tests.support.fake_mx_script import Script
from tests.support.loop_thread import in_thread
from tests.support.processes import CommandResult, run_command, wait_until
from tests.support.requirements import needs_programs
from tests.support.smtp_client import SmtpClient
from tests.support.unpacked import needs_unpacked

from .pool import commands_of
from .release import API, MX, Release, mail_domain, mail_service
from .small_image import Builder

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(480),
    needs_programs("buildah"),
    needs_unpacked("busybox-static"),
]

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "filter-authors.md"
EXAMPLE = ROOT / "examples" / "filters" / "container" / "filter.yaml"
NAME = "mail"
IMAGE = "registry.example.test/nobody:1"
PROBED, GRANTED = MX + 1, MX + 2
READY = "jsonpath={.status.conditions[?(@.type=='Ready')].status}"
SECONDS = 240.0
CLIENT = "probe.example.test"
PROBE = r"""#!/bin/sh
# Tells a client of that name what it finds where it runs, and lets everybody else through.
writable() { for at in / /paquebot /paquebot-socket /tmp /bin; do touch $at/new 2>/dev/null && echo -n "$at,"; done; }
status() { sed -n "s/^$1:[^0-9]*//p" /proc/self/status; }
reach() { nc -w 2 127.0.0.1 9025 </dev/null 2>&1 >/dev/null && echo reached; }
memory() { cat /sys/fs/cgroup/memory.max 2>/dev/null || cat /sys/fs/cgroup/memory/memory.limit_in_bytes; }
while IFS='|' read -r kind what _ _ _ session token name; do
    case "$kind $what" in
        "config ready") echo "register|filter|smtp-in|ehlo"; echo "register|ready" ;;
        filter*)
            said="uid=$(id -u);privileges=$(status NoNewPrivs);capabilities=$(status CapEff);memory=$(memory)"
            said="$said;writable=$(writable);root=$(ls / | tr '\n' ',');secrets=$(ls /var/run/secrets 2>/dev/null)"
            case "$name" in
                probe.example.test) echo "filter-result|$session|$token|reject|550 $said;network=$(reach)" ;;
                *) echo "filter-result|$session|$token|proceed" ;;
            esac ;;
    esac
done
"""


def lines_of(page: Path, chapter: str) -> list[list[str]]:
    """The shell lines of a chapter, block by block."""
    text = page.read_text(encoding="utf-8")
    found = re.search(rf"^## {chapter}$(.*?)^## ", text, re.MULTILINE | re.DOTALL)
    assert found is not None
    blocks = re.findall(r"^ *```sh\n(.*?)^ *```$", found[1], re.MULTILINE | re.DOTALL)
    return [[line.strip() for line in block.splitlines()] for block in blocks]


def listener(name: str, port: int, *filters: str) -> Manifest:
    return {"name": name, "port": port, "filterRefs": [{"name": each} for each in filters]}


def probe(name: str, *, network: bool) -> Manifest:
    limits = {"limits": {"cpu": "500m", "memory": "48Mi"}}
    process = {"image": IMAGE, "command": ["/probe"], "network": network, "resources": limits}
    return mail_filter(name, **process)


def mail_filter(name: str, **process: Any) -> Manifest:
    return {"apiVersion": API, "kind": "MailFilter", "metadata": {"name": name}, "spec": {"process": process}}


def pool() -> Manifest:
    """The MailService that the documents speak of: one pod, and two listeners more with filters that probe."""
    found = mail_service([])
    listeners = [listener("mx", MX), listener("probed", PROBED, "probe"), listener("granted", GRANTED, "granted")]
    found["spec"] |= {"replicas": 1, "listeners": listeners, "allowedDomains": {"namespaces": {"from": "Same"}}}
    return found | {"metadata": {"name": NAME}}


@dataclass(frozen=True)
class Scene:
    """The pool after a person has done what the documents say, and what was printed then."""

    release: Release
    store: FakeMx
    printed: str

    def pod(self) -> Manifest:
        """The pod of now: of the newest template, and no other is left."""
        items = self.release.cluster.api.get("pods", "-n", self.release.namespace, "-l", f"paquebot.dev/service={NAME}")
        alive = [each for each in items["items"] if "deletionTimestamp" not in each["metadata"]]
        assert len(alive) == 1
        found: Manifest = alive[0]
        return found

    def run(self, *arguments: str, stdin: str = "") -> CommandResult:
        return self.release.cluster.api.run(*arguments, "-n", self.release.namespace, stdin=stdin)


@pytest.fixture(scope="module")
def scene(release: Release, cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    builder = Builder(tmp_path_factory.mktemp("images"))
    builder.make_base(probe=PROBE)
    build, use = lines_of(PAGE, "In a cluster")
    shell(build, builder, cluster)
    cluster.load_image(builder.archive)
    with in_thread(FakeMx(Script(is_lmtp=True), host=cluster.machine_address)) as store:
        domain = mail_domain("filtered", "example.test", release.namespace, lmtp=destination(cluster, store))
        domain["spec"]["serviceRef"] = {"name": NAME}
        release.apply(probe("probe", network=False), probe("granted", network=True), pool(), domain)
        release.wait_for("mailservice", NAME, "Ready")
        release.wait_for("maildomain", "filtered", "Programmed")
        try:
            yield Scene(release, store, shell(use, builder, cluster, release.namespace))
        finally:
            for kind, name in (("maildomain", "filtered"), ("mailservice", NAME)):
                release.delete(kind, name)


def destination(cluster: Cluster, store: FakeMx) -> dict[str, str]:
    return {"destination": f"{cluster.machine_address}:{store.port}"}


def shell(lines: list[str], builder: Builder, cluster: Cluster, namespace: str = "default") -> str:
    """What lines print, as a person has them who has a namespace, and docker, kubectl and the checkout at hand."""
    kubeconfig = builder.programs / "kubeconfig"
    kubeconfig.write_bytes(cluster.api.kubeconfig.read_bytes())
    kubectl = [str(kube_programs() / "kubectl"), f"--kubeconfig={kubeconfig}"]
    run_command([*kubectl, "config", "set-context", "--current", f"--namespace={namespace}"]).checked()
    path = ":".join([str(builder.programs), str(kube_programs()), str(Path(sys.executable).parent)])
    settings = [f"export KUBECONFIG={kubeconfig} PATH={path}:$PATH", f"cd {ROOT}", "exec 2>&1"]
    script = "\n".join(["set -eu", *settings, "set -x", *lines])
    done = run_command(["timeout", f"{SECONDS:.0f}", "bash", "-c", script], timeout_seconds=SECONDS + 10.0)
    printed = done.stdout.decode()
    assert done.returncode == 0, printed[-8_000:]
    return printed


def found_by(scene: Scene, port: int) -> dict[str, str]:
    """What the program in front of a listener says of its surroundings."""
    with SmtpClient(port, host=scene.pod()["status"]["podIP"]) as client:
        client.expect("220")
        text = client.command(f"EHLO {CLIENT}", "550").last[4:]
    return dict(each.split("=", 1) for each in text.split(";"))


def sidecar(scene: Scene, name: str) -> Manifest:
    """The container of a filter, as the pod has it."""
    containers = scene.pod()["spec"]["initContainers"]
    return next(each for each in containers if re.fullmatch(rf"filter-{name}-[0-9a-f]+", each["name"]))


def test_the_lines_put_a_program_before_a_listener(scene: Scene) -> None:
    assert re.search(r"nobody.*\bup\b|\bup\b.*nobody", scene.printed) or "nobody" in scene.printed
    assert "550 5.1.1 Nobody is here" in scene.printed
    assert re.search(
        r"^\[pod/mail-mta-\S+/filter-nobody-\w+\] somebody wrote to nobody@example.test$", scene.printed, re.M
    )
    wait_until(lambda: any(b"Subject: To somebody" in each for each in scene.store.contents), "the other mail")


def test_it_runs_as_a_user_of_its_own_within_its_limits(scene: Scene) -> None:
    found = found_by(scene, PROBED)
    assert found["uid"] == "65533"
    assert found["privileges"] == "1"
    assert set(found["capabilities"]) == {"0"}
    assert int(found["memory"]) == 48 * 1024 * 1024
    spec = sidecar(scene, "nobody")
    assert spec["resources"] == {
        "limits": {"cpu": "500m", "memory": "64Mi"},
        "requests": {"cpu": "10m", "memory": "16Mi"},
    }


def test_it_has_no_volume_no_token_and_nothing_of_ours_but_a_bridge_and_a_socket(scene: Scene) -> None:
    found = found_by(scene, PROBED)
    assert found["writable"] == "/paquebot-socket,"
    assert not found["secrets"]
    kernels = {"dev", "etc", "proc", "sys", "var", "run", "tmp"}
    assert set(found["root"].strip(",").split(",")) - kernels == {
        "bin",
        "probe",
        "nobody.sh",
        "paquebot",
        "paquebot-socket",
    }
    volumes = {each["name"]: each for each in scene.pod()["spec"]["volumes"]}
    mounted = [volumes[each["name"]] for each in sidecar(scene, "probe")["volumeMounts"]]
    assert all("emptyDir" in each for each in mounted)
    assert scene.pod()["spec"]["automountServiceAccountToken"] is False


def test_it_has_no_network_unless_it_was_granted(scene: Scene) -> None:
    # The nearest there is: where the MTA tells of its configuration, in the pod's own network.
    assert "Permission denied" in found_by(scene, PROBED)["network"]
    assert found_by(scene, GRANTED)["network"] == "reached"


def restarts(scene: Scene, name: str) -> int:
    statuses = scene.pod()["status"]["initContainerStatuses"]
    return next(int(each["restartCount"]) for each in statuses if each["name"] == sidecar(scene, name)["name"])


def test_while_it_is_away_its_phase_is_451_and_nobody_else_is_harmed(scene: Scene) -> None:
    pod, before = scene.pod(), restarts(scene, "nobody")
    host = pod["status"]["podIP"]
    with SmtpClient(MX, host=host) as client, SmtpClient(PROBED, host=host) as other:
        for each in (client, other):
            each.expect("220")
            each.command("EHLO client.example.org", "250")
            each.command("MAIL FROM:<a@client.example.org>", "250")
        for process, command in commands_of(pod).items():
            if command.endswith(b"/nobody.sh\0"):
                with suppress(ProcessLookupError):  # the first one of a container takes the others with it
                    os.kill(process, signal.SIGKILL)
        client.command("RCPT TO:<alice@example.test>", "451 4.7.1")
        other.command("RCPT TO:<alice@example.test>", "250")
        wait_until(lambda: restarts(scene, "nobody") > before, "another start", 60.0)
        wait_until(lambda: is_taken(client, "alice@example.test"), "an answer", 60.0)
        client.command("RCPT TO:<nobody@example.test>", "550 5.1.1")
    assert scene.pod()["metadata"]["uid"] == pod["metadata"]["uid"]
    assert {each["name"]: each["restartCount"] for each in scene.pod()["status"]["containerStatuses"]} == {"mta": 0}


def is_taken(client: SmtpClient, address: str) -> bool:
    client.line(f"RCPT TO:<{address}>")
    return client.reply().code == "250"


def test_a_program_without_a_command_or_an_image_is_told_what_is_missing(scene: Scene) -> None:
    example = json.loads(scene.run("get", "mailfilter", "nobody", "-o", "json").stdout)["spec"]["process"]
    without = mail_filter("wrong", **{name: value for name, value in example.items() if name != "command"})
    refused = scene.run("apply", "-f", "-", stdin=json.dumps(without))
    assert b"set command, the program and its arguments" in refused.stderr
    scene.release.apply(mail_filter("wrong", command=["/nobody.sh"]))
    wait_until(lambda: scene.release.condition("mailfilter", "wrong", "Accepted")[0] == "False", "a condition", 30.0)
    _, _, message = scene.release.condition("mailfilter", "wrong", "Accepted")
    assert "spec.process.image" in message
    assert "set image" in message
    scene.release.delete("mailfilter", "wrong")


def test_a_program_that_cant_be_started_changes_nothing_for_the_pods_at_work(scene: Scene) -> None:
    before = scene.pod()
    scene.release.apply(mail_filter("broken", image=IMAGE, command=["/there-is-none"]))
    also = [{"op": "add", "path": "/spec/listeners/0/filterRefs/-", "value": {"name": "broken"}}]
    scene.run("patch", "mailservice", NAME, "--type=json", f"--patch={json.dumps(also)}").checked()
    wait_until(lambda: "broken" in scene.release.condition("mailservice", NAME, "Programmed")[2], "a condition", 60.0)
    status, reason, message = scene.release.condition("mailservice", NAME, "Programmed")
    assert (status, reason) == ("False", "PodRejected")
    assert before["metadata"]["name"] in message
    with SmtpClient(MX, host=before["status"]["podIP"]) as client:
        client.expect("220")
        client.command("EHLO client.example.org", "250")
        client.command("MAIL FROM:<a@client.example.org>", "250")
        client.command("RCPT TO:<alice@example.test>", "250")
        client.command("RCPT TO:<nobody@example.test>", "550 5.1.1")
    ready = scene.run("get", "pod", before["metadata"]["name"], "-o", READY)
    assert ready.stdout == b"True"
