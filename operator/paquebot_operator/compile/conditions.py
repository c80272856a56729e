"""What a compilation has to say about an object, as values."""

from dataclasses import dataclass, field
from typing import Literal

from paquebot_operator.compile.objects import ObjectKey

ConditionType = Literal["Accepted", "ResolvedRefs"]
Severity = Literal["Info", "Warning", "Error"]


@dataclass(frozen=True, order=True)
class ObjectCondition:
    """One finding about an object; a type may have several, the worst makes the object's condition.

    Attributes:
        type: ``Accepted`` (the object itself) or ``ResolvedRefs`` (what it refers to).
        status: ``False`` if and only if severity is ``Error``: the object is left out, or a service keeps its last
            good configuration.
        reason: CamelCase, stable, for programs.
        field: path within the object, empty for all of it.
        message: what is wrong and what to do; never a value of a Secret.
    """

    kind: str
    namespace: str
    name: str
    type: ConditionType
    status: Literal["True", "False"]
    reason: str
    field: str
    message: str
    severity: Severity


@dataclass
class Report:
    """Collects what is found about one object."""

    kind: str
    key: ObjectKey
    found: list[ObjectCondition] = field(default_factory=list)

    def refused(self) -> bool:
        """Whether there is any error."""
        return any(condition.severity == "Error" for condition in self.found)

    def refuse(self, reason: str, path: str, message: str) -> None:
        """The object itself is wrong."""
        self._add("Accepted", "Error", reason, path, message)

    def unresolved(self, reason: str, path: str, message: str) -> None:
        """What the object refers to is missing or wrong."""
        self._add("ResolvedRefs", "Error", reason, path, message)

    def warn(self, type_: ConditionType, reason: str, path: str, message: str) -> None:
        """Something a person should know; the object is used all the same."""
        self._add(type_, "Warning", reason, path, message)

    def conditions(self) -> tuple[ObjectCondition, ...]:
        """All findings, sorted; a type without any is said to be fine."""
        types = {condition.type for condition in self.found}
        fine: tuple[ConditionType, ...] = ("Accepted", "ResolvedRefs")
        good = [self._condition(each, "Info", each, "", "") for each in fine if each not in types]
        return tuple(sorted(set(self.found) | set(good)))

    def _add(self, type_: ConditionType, severity: Severity, reason: str, path: str, message: str) -> None:
        self.found.append(self._condition(type_, severity, reason, path, message))

    def _condition(
        self, type_: ConditionType, severity: Severity, reason: str, path: str, message: str
    ) -> ObjectCondition:
        status: Literal["True", "False"] = "False" if severity == "Error" else "True"
        return ObjectCondition(
            self.kind, self.key.namespace, self.key.name, type_, status, reason, path, message, severity
        )
