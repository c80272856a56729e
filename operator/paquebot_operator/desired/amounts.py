"""Amounts of CPU, memory and disk, as containers spell them."""

from paquebot_operator.api.pods import Amounts
from paquebot_operator.desired.metadata import set_only


def amounts(wanted: Amounts) -> dict[str, str]:
    """What was asked for, and nothing else."""
    return set_only(cpu=wanted.cpu, memory=wanted.memory, **{"ephemeral-storage": wanted.ephemeral_storage})
