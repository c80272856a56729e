"""What pods and objects of Kubernetes are told: quantities, labels, annotations."""

import re
from decimal import Decimal
from typing import Annotated

from msgspec import Meta

from paquebot_operator.api.validation import Rule

Quantity = Annotated[
    str, Meta(min_length=1, max_length=24, pattern=r"^[0-9]{1,15}(\.[0-9]{1,6})?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$")
]
_NAME = r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
_KEY = rf"^([a-z0-9]([-a-z0-9.]{{0,251}}[a-z0-9])?/)?{_NAME}$"
LabelKey = Annotated[str, Meta(min_length=1, max_length=317, pattern=_KEY)]
LabelValue = Annotated[str, Meta(max_length=63, pattern=rf"^({_NAME})?$")]
Labels = Annotated[dict[LabelKey, LabelValue], Meta(max_length=32)]
Annotations = Annotated[dict[LabelKey, Annotated[str, Meta(max_length=4096)]], Meta(max_length=32)]

_OWN = ("app.kubernetes.io/", "paquebot.dev/")
_PARTS = re.compile(r"(?P<number>[0-9.]+)(?P<unit>[a-zA-Z]*)")
_UNITS = {
    "": Decimal(1),
    "m": Decimal("0.001"),
    **{unit: Decimal(1000) ** power for power, unit in enumerate("kMGT", start=1)},
    **{f"{unit}i": Decimal(1024) ** power for power, unit in enumerate("KMGT", start=1)},
}


def quantity_value(text: str) -> Decimal:
    """The number that a quantity stands for: cores, bytes.

    Raises ValueError if it is no quantity.
    """
    found = _PARTS.fullmatch(text)
    if found is None or found["unit"] not in _UNITS:
        raise ValueError("not a quantity")
    return Decimal(found["number"]) * _UNITS[found["unit"]]


def not_ours(name: str) -> Rule:
    """The map ``name`` takes none of the keys that the operator itself sets."""
    is_ours = " || ".join(f"key.startsWith('{prefix}')" for prefix in _OWN)
    return Rule(
        cel=f"!self.{name}.exists(key, {is_ours})",
        message=f"{name} must not start with {' or '.join(_OWN)}: those are set by the operator",
        holds=lambda value: not any(key.startswith(_OWN) for key in getattr(value, name)),
    )
