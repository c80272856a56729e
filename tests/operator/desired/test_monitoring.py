"""What Prometheus is told: the job that dashboards select by, and alerts with the service's own thresholds."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from monitoring.rules import RUNBOOKS
from paquebot_operator.desired.alerts import prometheus_rule
from paquebot_operator.desired.metadata import Manifest
from paquebot_operator.desired.monitor import pod_monitor
from tests.operator.builders import Json
from tests.operator.desired.services import RICH_CONTEXT, mail_service
from tests.support.processes import run_command
from tests.support.requirements import needs_programs


def rules(**spec: Any) -> dict[str, Json]:
    manifest = prometheus_rule(mail_service(**spec), RICH_CONTEXT)
    assert manifest is not None
    (group,) = manifest["spec"]["groups"]
    return {each["alert"]: each for each in group["rules"]}


def test_pods_are_the_job_that_dashboards_know() -> None:
    manifest: Manifest | None = pod_monitor(mail_service(), RICH_CONTEXT)
    assert manifest is not None
    (endpoint,) = manifest["spec"]["podMetricsEndpoints"]
    assert endpoint["relabelings"] == [{"targetLabel": "job", "replacement": "paquebot-mta"}]
    assert endpoint["port"] == "admin"
    assert manifest["spec"]["podTargetLabels"] == ["paquebot.dev/service"]


def test_alerts_have_the_services_own_thresholds() -> None:
    found = rules(replicas=3, queue={"ttlSeconds": 7_200})
    assert found["PaquebotServicePodsMissing"]["expr"].endswith("< 3")
    assert found["PaquebotServiceQueueOld"]["expr"].endswith("> 3600")
    assert all('namespace="mail",paquebot_dev_service="post"' in each["expr"] for each in found.values())


def test_every_alert_has_its_page() -> None:
    pages = [each["annotations"]["runbook_url"].rpartition("/")[2] for each in rules().values()]
    assert all((RUNBOOKS / page).is_file() for page in pages)


def test_pages_may_be_a_copy() -> None:
    context = replace(RICH_CONTEXT, runbooks="https://wiki.example.com/mail")
    manifest = prometheus_rule(mail_service(), context)
    assert manifest is not None
    (group,) = manifest["spec"]["groups"]
    pages = {each["annotations"]["runbook_url"].rpartition("/")[0] for each in group["rules"]}
    assert pages == {"https://wiki.example.com/mail"}


def test_a_service_without_pods_is_not_missed() -> None:
    assert list(rules(replicas=0)) == ["PaquebotServiceQueueOld"]


def test_nobody_is_told_of_pods_that_are_not_scraped() -> None:
    assert prometheus_rule(mail_service(monitoring={"podMonitor": "Disabled"}), RICH_CONTEXT) is None


@pytest.mark.slow
@needs_programs("promtool")
def test_prometheus_understands_the_alerts(tmp_path: Path) -> None:
    groups = {"groups": [{"name": "service", "rules": list(rules().values())}]}
    (tmp_path / "rules.yaml").write_text(json.dumps(groups), encoding="utf-8")
    run_command(["promtool", "check", "rules", str(tmp_path / "rules.yaml")]).checked()
