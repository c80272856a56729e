"""Conditions of a status: one a type, the worst finding wins, and a time that moves with the status only."""

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from paquebot_operator.compile.conditions import ObjectCondition

MAX_MESSAGE: Final = 2_048
_WORST: Final = {"Error": 0, "Warning": 1, "Info": 2}


class Said(NamedTuple):
    """A condition without its date."""

    type: str
    status: str
    reason: str
    message: str = ""


def merged(found: Iterable[ObjectCondition]) -> list[Said]:
    """One condition a type: status and reason of the worst finding, the messages of all that are as bad."""
    by_type: dict[str, list[ObjectCondition]] = {}
    for each in found:
        by_type.setdefault(each.type, []).append(each)
    return [_merged(by_type[type_]) for type_ in sorted(by_type)]


def ready_of(conditions: Sequence[Said]) -> Said:
    """The summary: the first condition that does not hold, or that all is well."""
    for said in conditions:
        if said.status != "True":
            return Said("Ready", said.status, said.reason, said.message)
    return Said("Ready", "True", "Ready")


def dated(
    conditions: Iterable[Said], generation: int, before: Iterable[dict[str, Any]], now: str
) -> list[dict[str, Any]]:
    """Conditions as the API has them; ``lastTransitionTime`` stays as long as the status does."""
    known = {each.get("type"): each for each in before}
    return [_dated(said, generation, known.get(said.type), now) for said in conditions]


def _dated(said: Said, generation: int, before: dict[str, Any] | None, now: str) -> dict[str, Any]:
    stays = before is not None and before.get("status") == said.status
    since = str(before.get("lastTransitionTime", now)) if before is not None and stays else now
    return {
        "type": said.type,
        "status": said.status,
        "reason": said.reason,
        "message": said.message,
        "observedGeneration": generation,
        "lastTransitionTime": since,
    }


def _merged(found: list[ObjectCondition]) -> Said:
    worst = min(_WORST[each.severity] for each in found)
    chosen = sorted((each for each in found if _WORST[each.severity] == worst), key=lambda each: (each.field, each))
    lines = [f"{each.field}: {each.message}" if each.field else each.message for each in chosen]
    return Said(
        chosen[0].type, chosen[0].status, chosen[0].reason, "; ".join(line for line in lines if line)[:MAX_MESSAGE]
    )
