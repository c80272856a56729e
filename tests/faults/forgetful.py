"""The MTA with a mistake made on purpose: its disk never syncs. Started by tests, which must find the mistake."""

from paquebot_mta.admin.cli import main
from paquebot_mta.spool.disk import RealDisk


def _forget(self: RealDisk, target: int | str) -> None:
    """Say that it is durable, and do nothing."""


if __name__ == "__main__":
    RealDisk.sync = _forget  # type: ignore[method-assign,assignment]
    RealDisk.sync_dir = _forget  # type: ignore[method-assign,assignment]
    main(prog_name="paquebot")
