"""Programs of this machine that submit mail as other users, and a service that modes hold for although it is root."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.faults.tracing import TracedPaquebot
from tests.support.processes import CommandResult, find_program, run_command

ADA, BEN = 12_345, 23_456
"""Users that exist nowhere."""
# Everything is imported before the user changes: others may not read the interpreter's files.
_AS_USER = """
import os, sys
import email._header_value_parser, encodings.idna, idna
from paquebot_mta.admin import commands_sendmail
from paquebot_mta.admin.cli import main
user = int(sys.argv.pop(1))
os.setgroups([]), os.setgid(user), os.setuid(user)
sys.argv[0] = "sendmail"
main()
"""
_BOUND = "-dac_override,-dac_read_search,-fowner,-chown"


def sendmail(
    spool: Path, runtime: Path, user_id: int, *arguments: str, message: bytes = b"Subject: hello\n\nAhoy!\n"
) -> CommandResult:
    """Call ``sendmail`` by that name as a user, with the places of a service that may run or not."""
    places = ["--runtime", str(runtime), "--spool", str(spool)]
    return run_command([sys.executable, "-c", _AS_USER, str(user_id), *places, *arguments], stdin=message)


class BoundPaquebot(TracedPaquebot):
    """An instance without root's right to pass over modes: its files obey to ``chmod`` as a pod's do."""

    def submit_as(self, user_id: int, *arguments: str, message: bytes = b"Subject: hello\n\nAhoy!\n") -> CommandResult:
        """Call ``sendmail`` as a user of this machine."""
        return sendmail(self.directory / "spool", self.runtime_directory, user_id, *arguments, message=message)

    def _argv(self) -> list[str]:
        return [find_program("setpriv"), f"--bounding-set={_BOUND}", *super()._argv()]
