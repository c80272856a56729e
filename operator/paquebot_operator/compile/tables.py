"""From Tables and what they refer to, to tables of the contract."""

from dataclasses import dataclass

from paquebot_mta.config import tables as contract
from paquebot_mta.config.check_keys import key_faults, parse_network
from paquebot_operator.api.common import KeyRef
from paquebot_operator.api.core import ConfigMap, Secret
from paquebot_operator.api.table import Table
from paquebot_operator.compile.alone import refuse_table
from paquebot_operator.compile.conditions import ObjectCondition, Report
from paquebot_operator.compile.objects import ObjectKey, Objects
from paquebot_operator.compile.table_file import TableFileError, parse_table


@dataclass(frozen=True)
class Resolved:
    """A Table with its data, or None if it can't be used, and why."""

    table: contract.Table | None
    conditions: tuple[ObjectCondition, ...]


Source = Secret | ConfigMap | None
Kept = dict[ObjectKey, tuple[Table, Source, Resolved]]
"""Tables with what they were resolved from; as long as both are the same values, so is the result."""


class Tables:
    """Resolves Tables, each once.

    Args:
        objects: where Tables and their data are.
        kept: results of before, to be used again; renewed in place.
    """

    def __init__(self, objects: Objects, kept: Kept | None = None) -> None:
        self._objects = objects
        self._kept: Kept = {} if kept is None else kept
        self._resolved: dict[ObjectKey, Resolved] = {}

    def resolve(self, key: ObjectKey) -> Resolved | None:
        """The Table with its data; None if there is no such object."""
        table = self._objects.tables.get(key)
        if table is not None and key not in self._resolved:
            self._resolved[key] = self._renewed(key, table)
        return self._resolved.get(key)

    def sources(self) -> set[tuple[str, ObjectKey]]:
        """Kind and key of every Secret and ConfigMap that the Tables resolved so far refer to."""
        found = ((key.namespace, self._objects.tables[key].spec) for key in self._resolved)
        return {
            (kind, ObjectKey(namespace, ref.name))
            for namespace, spec in found
            for kind, ref in (("Secret", spec.secret_ref), ("ConfigMap", spec.config_map_ref))
            if ref is not None
        }

    def _renewed(self, key: ObjectKey, table: Table) -> Resolved:
        source = _source(self._objects, key, table)
        kept = self._kept.get(key)
        if kept is not None and kept[0] is table and kept[1] is source:
            return kept[2]
        resolved = _resolve(self._objects, key, table)
        self._kept[key] = (table, source, resolved)
        return resolved

    def conditions(self) -> tuple[ObjectCondition, ...]:
        """Findings about all Tables resolved so far."""
        return tuple(condition for key in sorted(self._resolved) for condition in self._resolved[key].conditions)


def _source(objects: Objects, key: ObjectKey, table: Table) -> Source:
    spec = table.spec
    if spec.config_map_ref is not None:
        return objects.config_maps.get(ObjectKey(key.namespace, spec.config_map_ref.name))
    if spec.secret_ref is not None:
        return objects.secrets.get(ObjectKey(key.namespace, spec.secret_ref.name))
    return None


def _resolve(objects: Objects, key: ObjectKey, table: Table) -> Resolved:
    report = Report("Table", key)
    inline = _data(objects, key, table, report)
    if inline is not None:
        _check_fit(table, inline, report)
    if inline is None or report.refused():
        return Resolved(None, report.conditions())
    spec = table.spec
    value = contract.Table(services=tuple(sorted(set(spec.services))), match_mode=spec.match_mode, inline=inline)
    refuse_table(value, report)
    return Resolved(None if report.refused() else value, report.conditions())


def _data(objects: Objects, key: ObjectKey, table: Table, report: Report) -> contract.Inline | None:
    spec = table.spec
    if spec.inline is not None:
        entries = {entry.key: entry.value for entry in sorted(spec.inline.entries, key=lambda entry: entry.key)}
        return contract.Inline(keys=spec.inline.keys, entries=entries)
    if spec.config_map_ref is not None:
        found = objects.config_maps.get(ObjectKey(key.namespace, spec.config_map_ref.name))
        return _text(found, spec.config_map_ref, "ConfigMap", report)
    if spec.secret_ref is not None:
        secret = objects.secrets.get(ObjectKey(key.namespace, spec.secret_ref.name))
        return _text(secret, spec.secret_ref, "Secret", report)
    return None


def _text(found: Secret | ConfigMap | None, ref: KeyRef, kind: str, report: Report) -> contract.Inline | None:
    field = f"spec.{'secretRef' if kind == 'Secret' else 'configMapRef'}"
    if found is None:
        report.unresolved(f"{kind}NotFound", field, f"there is no {kind} {ref.name} in this namespace: create it")
        return None
    try:
        content = found.value(ref.key)
        if content is None:
            message = f"{kind} {ref.name} has no key {ref.key}: add it, or name another in {field}.key"
            report.unresolved("KeyNotFound", f"{field}.key", message)
            return None
        return parse_table(content)
    except TableFileError as error:
        report.unresolved("InvalidTable", field, f"{kind} {ref.name}, key {ref.key}: {error}")
    except ValueError:
        report.unresolved("InvalidTable", field, f"{kind} {ref.name}, key {ref.key}: not base64")
    return None


def _check_fit(table: Table, inline: contract.Inline, report: Report) -> None:
    """Keys that the table's services can't read; what lies in a Secret is not shown."""
    spec = table.spec
    for place, reason in key_faults((*inline.keys, *inline.entries), spec.services, spec.match_mode):
        shown = reason.partition(":")[0] if spec.secret_ref is not None else reason
        report.refuse("InvalidTable", "spec", f"entry {place + 1}: {shown}")


def is_network(text: str) -> bool:
    """Whether a text is a network or an address."""
    try:
        parse_network(text)
    except ValueError:
        return False
    return True
