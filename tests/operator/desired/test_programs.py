"""Filter programs in a pod: containers of their own, and nothing of ours within their reach but a socket."""

from typing import Any

from paquebot_mta.config.filters import Process
from paquebot_operator.api.decode import decode
from paquebot_operator.api.pods import Resources
from paquebot_operator.compile.objects import Objects
from paquebot_operator.compile.service import compile_service
from paquebot_operator.desired.context import Context, Program
from paquebot_operator.desired.programs import programs_of
from paquebot_operator.desired.workload import workload
from tests.operator.builders import API, KEY, NOW, Json, metadata, service
from tests.operator.desired.services import CONTEXT, mail_service

PROGRAM = Program("mail/spam.filter", "registry.example.test/spam:1", ("/spam", "-v"), Resources())
WITH = Context(image=CONTEXT.image, operator_namespace=CONTEXT.operator_namespace, programs=(PROGRAM,))


def template(context: Context = WITH, **spec: Any) -> Json:
    found: Json = workload(mail_service(**spec), context)["spec"]["template"]["spec"]
    return found


def test_without_programs_a_pod_has_the_mta_alone() -> None:
    assert "initContainers" not in template(CONTEXT)
    assert len(template(CONTEXT)["containers"]) == 1


def test_a_program_is_a_sidecar_that_lives_as_long_as_the_mta_asks() -> None:
    install, sidecar = template()["initContainers"]
    assert install["command"] == ["/opt/paquebot/bin/paquebot-bridge", "--install", "/paquebot/bridge"]
    assert install["image"] == CONTEXT.image
    assert (sidecar["image"], sidecar["restartPolicy"]) == ("registry.example.test/spam:1", "Always")
    assert sidecar["command"] == ["/paquebot/bridge", "--no-network", "/paquebot-socket/socket", "/spam", "-v"]


def test_a_program_has_the_network_if_it_was_granted() -> None:
    granted = Program("mail/dns", "registry.example.test/dns:1", ("/dns",), Resources(), network=True)
    sidecar = template(Context(image="i", operator_namespace="o", programs=(granted,)))["initContainers"][1]
    assert sidecar["command"] == ["/paquebot/bridge", "/paquebot-socket/socket", "/dns"]


def test_a_program_sees_its_socket_and_the_bridge_and_nothing_else() -> None:
    sidecar = template()["initContainers"][1]
    assert {mount["mountPath"] for mount in sidecar["volumeMounts"]} == {"/paquebot", "/paquebot-socket"}
    assert next(mount for mount in sidecar["volumeMounts"] if mount["mountPath"] == "/paquebot")["readOnly"] is True
    assert sidecar["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
        "runAsUser": 65_533,
    }


def test_the_mta_finds_the_socket_where_its_configuration_says() -> None:
    item: Json = {
        "apiVersion": API,
        "kind": "MailFilter",
        "metadata": metadata("spam"),
        "spec": {"process": {"command": ["/spam"], "image": "registry.example.test/spam:1", "network": True}},
    }
    listening = service(listeners=[{"name": "mx", "port": 2525, "filterRefs": [{"name": "spam"}]}])
    objects = Objects.of([decode(listening), decode(item)])
    config = compile_service(objects, KEY, now=NOW).config
    assert config is not None
    kind = config.service.filters["default/spam"].kind
    assert isinstance(kind, Process)
    programs = programs_of(config, objects.filters)
    assert [(each.name, each.image, each.command, each.network) for each in programs] == [
        ("default/spam", "registry.example.test/spam:1", ("/spam",), True)
    ]
    found = template(Context(image="i", operator_namespace="o", programs=programs))
    mounts = {mount["mountPath"]: mount["name"] for mount in found["containers"][0]["volumeMounts"]}
    directory, _, name = kind.socket.rpartition("/")
    assert name == "socket"
    shared = mounts[directory]
    assert shared in {mount["name"] for mount in found["initContainers"][1]["volumeMounts"]}
    assert {"name": shared, "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}} in found["volumes"]


def test_names_fit_whatever_the_filter_is_called() -> None:
    long = Program(f"mail/{'a.b-' * 60}c", "i", ("/x",), Resources())
    names = [each["name"] for each in template(Context(image="i", operator_namespace="o", programs=(long,)))["volumes"]]
    assert all(len(name) <= 63 and "." not in name for name in names)
