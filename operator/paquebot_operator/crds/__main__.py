"""Write the generated files below a directory: ``python -m paquebot_operator.crds [--plain] [DIRECTORY]``."""

import sys
from pathlib import Path

from paquebot_operator.crds.definition import definitions
from paquebot_operator.crds.files import generated_files, plain


def main(arguments: list[str]) -> None:
    """With ``--plain`` print the definitions for ``kubectl apply``, else write all generated files."""
    if "--plain" in arguments:
        sys.stdout.write("---\n".join(plain(definition) for definition in definitions()))
        return
    root = Path(arguments[0] if arguments else ".")
    for name, text in generated_files().items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
