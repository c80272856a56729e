"""The rules in order: the first that matches decides, none is a refusal (550)."""

from msgspec import Struct

from paquebot_mta.config.rules import Rule
from paquebot_mta.expand.criteria import Criterion, Question, Surroundings, compile_match


class CompiledRule(Struct, frozen=True):
    """A rule and its criteria in the order they are tried."""

    rule: Rule
    criteria: tuple[Criterion, ...]


class RuleSet:
    """The rules of a service.

    Raises:
        ValueError: a rule can't be compiled; the message names the rule and the reason.
    """

    def __init__(self, rules: tuple[Rule, ...], around: Surroundings) -> None:
        self._rules = tuple(CompiledRule(rule, _compile(rule, around)) for rule in rules)

    async def first_match(self, question: Question) -> Rule | None:
        """Give the first rule of which all criteria hold. Suspends only where a table has to.

        Raises:
            TableError: a table that had to be asked gave no answer.
        """
        for compiled in self._rules:
            if await _holds(compiled.criteria, question):
                return compiled.rule
        return None


async def _holds(criteria: tuple[Criterion, ...], question: Question) -> bool:
    for criterion in criteria:
        answer = criterion(question)
        if not (answer if isinstance(answer, bool) else await answer):
            return False
    return True


def _compile(rule: Rule, around: Surroundings) -> tuple[Criterion, ...]:
    try:
        return compile_match(rule.match, around)
    except ValueError as error:
        raise ValueError(f"rule {rule.name!r}: {error}") from error
