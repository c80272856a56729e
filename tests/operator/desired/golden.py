"""Golden files of what three services want: ``python -m tests.operator.desired.golden`` writes them anew."""

from pathlib import Path

import yaml

from paquebot_operator.desired import desired_objects
from tests.operator.desired.services import GOLDEN

FOLDER = Path(__file__).parent / "golden"


class _Dumper(yaml.SafeDumper):
    """Repeats values instead of naming them once."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def golden_text(name: str) -> str:
    """All objects of the service `name`, as YAML."""
    return yaml.dump_all(desired_objects(*GOLDEN[name]), Dumper=_Dumper, sort_keys=False, width=120)


def main() -> None:
    for name in GOLDEN:
        (FOLDER / f"{name}.yaml").write_text(golden_text(name), encoding="utf-8")


if __name__ == "__main__":
    main()
