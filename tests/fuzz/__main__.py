"""``python -m tests.fuzz NAME --seconds N``: fuzz with atheris, guided by coverage.

Starts from the kept corpus; what is found on the way, and any input that breaks a target, stays in ``.cache/fuzz``.
"""

import subprocess
import sys
from pathlib import Path
from typing import Final

import click

WORK: Final = Path(".cache/fuzz")
BROKEN: Final = "broken-"
_GUIDES: Final = ("paquebot_mta", "dns")
"""Packages whose coverage guides: ours, and the one that reads answers of name servers for us."""
_SLOWEST_INPUT_SECONDS: Final = 10
_MEMORY_MIB: Final = 2_048


@click.command()
@click.argument("names", nargs=-1)
@click.option("--seconds", default=60, show_default=True, help="How long, for each target.")
@click.option("--longest", default=4_096, show_default=True, help="Longest input in bytes.")
def main(names: tuple[str, ...], seconds: int, longest: int) -> None:
    """Fuzz the targets NAMES, one after the other; all of them if none is named."""
    if len(names) == 1:
        fuzz(names[0], seconds, longest)
        return
    failed = [name for name in names or _all_names() if _run(name, seconds, longest)]
    if failed:
        raise click.ClickException(f"broken: {', '.join(failed)}; inputs are in {WORK}/*/{BROKEN}*")


def _all_names() -> tuple[str, ...]:
    from tests.fuzz.catalogue import TARGETS

    return tuple(TARGETS)


def _run(name: str, seconds: int, longest: int) -> int:
    """Fuzz in a process of its own: the fuzzer ends it."""
    click.echo(f"== {name}")
    options = (f"--seconds={seconds}", f"--longest={longest}")
    return subprocess.run([sys.executable, "-m", "tests.fuzz", name, *options], check=False).returncode


def fuzz(name: str, seconds: int, longest: int) -> None:
    """Fuzz one target; never returns."""
    try:
        import atheris
    except ImportError:
        raise click.ClickException("atheris is not installed: `make fuzz` brings it") from None
    atheris.enabled_hooks.add("str")  # "RegEx" fails on patterns of bytes
    with atheris.instrument_imports(include=list(_GUIDES)):
        from tests.fuzz.catalogue import CORPUS, TARGETS
    if name not in TARGETS:
        raise click.BadParameter(f"one of {', '.join(TARGETS)}", param_hint="NAMES")
    work, seeds = WORK / name, CORPUS / name
    for each in (work, seeds):
        each.mkdir(parents=True, exist_ok=True)
    options = (f"-max_total_time={seconds}", f"-max_len={longest}", f"-timeout={_SLOWEST_INPUT_SECONDS}")
    places = (f"-rss_limit_mb={_MEMORY_MIB}", f"-artifact_prefix={work}/{BROKEN}", "-print_final_stats=1")
    atheris.Setup([sys.argv[0], *options, *places, str(work), str(seeds)], TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
