"""The generated files: definitions for both charts, and the reference of all fields."""

from collections.abc import Mapping
from typing import Any

import yaml

from paquebot_mta import __version__
from paquebot_operator.crds.definition import definitions
from paquebot_operator.crds.reference import reference

WIDTH = 120
_MADE = "# Made from the API's models by `make crds`: not to be edited here.\n"
_KEEP = """  {{- if .Values.crds.keep }}
  annotations:
    helm.sh/resource-policy: keep
  {{- end }}
"""


def generated_files() -> Mapping[str, str]:
    """All generated files: path below the project's root to text."""
    files = {"docs/api.md": reference(), **_crd_chart()}
    for definition in definitions():
        name = definition["spec"]["names"]["plural"]
        text = template(definition)
        files[f"charts/paquebot/templates/crds/{name}.yaml"] = text
        files[f"charts/paquebot-crds/templates/{name}.yaml"] = text
    return files


def template(definition: Mapping[str, Any]) -> str:
    """A definition as a template of Helm, which ``crds.enabled`` turns on and ``crds.keep`` keeps at uninstallation.

    Raises ValueError if a text of it means something to Helm.
    """
    body = plain(definition)
    if "{{" in body:
        raise ValueError("a definition must hold no {{: Helm would read it")
    head, spec = body.split("\nspec:\n", 1)
    return f"{{{{- if .Values.crds.enabled }}}}\n{_MADE}{head}\n{_KEEP}spec:\n{spec}{{{{- end }}}}\n"


def plain(definition: Mapping[str, Any]) -> str:
    """A definition as YAML that ``kubectl apply`` takes."""
    return yaml.safe_dump(dict(definition), sort_keys=False, width=WIDTH)


def _crd_chart() -> dict[str, str]:
    version = __version__.replace(".dev", "-dev")  # Helm wants semantic versions
    chart = {
        "apiVersion": "v2",
        "name": "paquebot-crds",
        "description": "The CustomResourceDefinitions of Paquebot alone, for those who install them apart.",
        "type": "application",
        "version": version,
        "appVersion": version,
        "kubeVersion": ">=1.30.0-0",
    }
    values = (
        "crds:\n"
        "  # -- Install the definitions.\n"
        "  enabled: true\n"
        "  # -- Keep them, and with them all mail objects, when the chart is uninstalled.\n"
        "  keep: true\n"
    )
    return {
        "charts/paquebot-crds/Chart.yaml": _MADE + yaml.safe_dump(chart, sort_keys=False, width=WIDTH),
        "charts/paquebot-crds/values.yaml": _MADE + values,
    }
