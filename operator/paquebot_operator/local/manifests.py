"""A directory of manifests: objects with their places, and conditions for what is no object."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from paquebot_operator.api.decode import ApiObject, ObjectError, decode
from paquebot_operator.compile.conditions import ObjectCondition, Report
from paquebot_operator.compile.objects import ObjectKey, key_of
from paquebot_operator.local.yaml_documents import Document, YamlError, read_documents

SUFFIXES = (".yaml", ".yml")
MAX_FILES = 1_000
Place = tuple[str, Document]


@dataclass(frozen=True)
class Manifests:
    """What a directory holds.

    Attributes:
        objects: in the order of file names.
        conditions: errors for what could not be read, warnings for what is passed over.
        places: file name and document by kind and key.
    """

    objects: tuple[ApiObject, ...]
    conditions: tuple[ObjectCondition, ...]
    places: Mapping[tuple[str, ObjectKey], Place]

    def place_of(self, condition: ObjectCondition) -> str:
        """``file:line`` of what a condition is about; empty if it is in no file."""
        found = self.places.get((condition.kind, ObjectKey(condition.namespace, condition.name)))
        return "" if found is None else f"{found[0]}:{found[1].line_of(condition.field)}"


def manifest_files(directory: Path) -> list[Path]:
    """Manifests directly in ``directory``, sorted, hidden ones left out."""
    found = (path for path in directory.iterdir() if path.suffix in SUFFIXES and not path.name.startswith("."))
    return sorted(path for path in found if path.is_file())[:MAX_FILES]


def read_directory(directory: Path) -> Manifests:
    """Read all manifests of a directory; never raises for what is in them.

    Raises OSError if the directory itself can't be read.
    """
    objects: dict[tuple[str, ObjectKey], ApiObject] = {}
    places: dict[tuple[str, ObjectKey], Place] = {}
    conditions: list[ObjectCondition] = []
    for path in manifest_files(directory):
        for item, document in _read(path, conditions):
            identity = (item.kind, key_of(item))
            if identity in objects:
                where = f"{path.name}:{document.line_of('')}"
                _refuse(conditions, *identity, "Duplicate", "metadata.name", f"{where} has an object of the same name")
            objects[identity] = item
            places.setdefault(identity, (path.name, document))
    return Manifests(tuple(objects.values()), tuple(conditions), places)


def _read(path: Path, conditions: list[ObjectCondition]) -> Iterator[tuple[ApiObject, Document]]:
    try:
        documents = read_documents(path.read_bytes())
    except YamlError as error:
        where = f"line {error.line}: " if error.line else ""
        _refuse(conditions, "File", ObjectKey("", path.name), "InvalidYaml", "", f"{where}{error}")
        return
    except OSError as error:
        _refuse(conditions, "File", ObjectKey("", path.name), "Unreadable", "", error.strerror or "can't be read")
        return
    for document in documents:
        item = _decoded(path, document, conditions)
        if item is not None:
            yield item, document


def _decoded(path: Path, document: Document, conditions: list[ObjectCondition]) -> ApiObject | None:
    try:
        return decode(document.value)
    except ObjectError as error:
        key = ObjectKey(error.namespace, error.name)
        where = f"{path.name}:{document.line_of(error.field)}"
        if _is_foreign(document.value):
            if error.kind == "Namespace":  # belongs beside our objects, and a local run needs none
                return None
            report = Report(error.kind, key)
            report.warn("Accepted", "UnknownKind", "kind", f"{where}: passed over, not an object of this project")
            conditions.extend(report.found)
        else:
            _refuse(conditions, error.kind or "File", key, "Invalid", error.field, f"{where}: {error.message}")
        return None


def _is_foreign(value: object) -> bool:
    """An object of another API group, or another kind of core v1: manifests may lie beside those."""
    if not isinstance(value, dict) or not isinstance(value.get("apiVersion"), str):
        return False
    api_version, kind = value["apiVersion"], value.get("kind")
    if not isinstance(kind, str) or (api_version == "v1" and kind in {"Secret", "ConfigMap"}):
        return False
    return not str(api_version).startswith("paquebot.dev/")


def _refuse(
    conditions: list[ObjectCondition], kind: str, key: ObjectKey, reason: str, field: str, message: str
) -> None:
    report = Report(kind, key)
    report.refuse(reason, field, message)
    conditions.extend(report.found)
