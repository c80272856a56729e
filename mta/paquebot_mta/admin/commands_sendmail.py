"""``paquebot sendmail``, also as a link named ``sendmail``: local programs submit mail as they always did."""

import os
import pwd
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final, NoReturn

import click

from paquebot_mta.admin.handover import Conversation, Handed, NotTakenError, UnknownEndError, hand_over
from paquebot_mta.admin.output import printable
from paquebot_mta.admin.sendmail import MOST_BYTES, BadMessageError, BadUsageError, read_message, read_options
from paquebot_mta.admin.sockets import MOST_WORKERS, submit_socket
from paquebot_mta.mail.submission import Submission
from paquebot_mta.spool.offline import box_of, leave

# sysexits.h, which callers of sendmail know.
USAGE: Final = 64
DATA_ERROR: Final = 65
NO_USER: Final = 67
UNAVAILABLE: Final = 69
TEMPORARY: Final = 75
RUNTIMES: Final = (Path(".paquebot/run"), Path("/run/paquebot"))
SPOOLS: Final = (Path(".paquebot/spool"), Path("/var/lib/paquebot/queue"))
_DIRECTORY: Final = click.Path(path_type=Path, file_okay=False, readable=False)
_CONNECT_SECONDS: Final = 5.0


class _Sendmail(click.Command):
    """Its own options come first; everything behind them is read as sendmail reads it, ``--`` included."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Part them."""
        position = 0
        while position < len(args) and args[position].startswith("--") and args[position] != "--":
            position += 1 if "=" in args[position] or args[position] == "--help" else 2
        return super().parse_args(ctx, [*args[:position], "--", *args[position:]])


@click.command(cls=_Sendmail, context_settings={"help_option_names": ["--help"]})
@click.option(
    "--runtime",
    type=_DIRECTORY,
    envvar="PAQUEBOT_RUNTIME",
    help=f"Where a service listens. [default: {RUNTIMES[0]} if it is there, else {RUNTIMES[1]}]",
)
@click.option(
    "--spool",
    type=_DIRECTORY,
    envvar="PAQUEBOT_SPOOL",
    help=f"The queue volume. [default: {SPOOLS[0]} if it is there, else {SPOOLS[1]}]",
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def sendmail(runtime: Path | None, spool: Path | None, arguments: tuple[str, ...]) -> None:
    """Submit the message on standard input, as other programs call sendmail; no login, the user is known.

    A service that runs on this machine takes it at once, or refuses it. When none runs, it is left on the queue
    volume, and the next service that uses the volume takes it. Names without a domain are users of the service's own
    domain: its host name if that is hosted, else the hosted domain that the host name lies under, else the first.

    \b
    Arguments are recipients, behind these options:
      -t               recipients are those of To, Cc and Bcc, too
      -f ADDRESS       sender (also -r); <> for none. Default: your user name
      -F NAME          full name in From, if the message has no From
      -N WORDS         ask for reports: never, or of success,failure,delay
      -R full|hdrs     what reports give back; -V ID: what they are known by
      -i, -oi          a line of a single dot does not end the message
      -B 8BITMIME, -bm, -eX, -oX, -v, -m, -n, -U, -G ...: taken, for programs that give them

    \b
    Exit codes: 0 taken or left on the volume, 64 wrong usage, 65 bad message,
    67 a recipient was refused (nobody gets it), 69 refused, 75 try again later.

    \b
    Example:
        paquebot sendmail -t -i < message.eml
        ln -s "$(command -v paquebot)" /usr/sbin/sendmail
    """
    try:
        wish = read_options(arguments)
    except BadUsageError as error:
        _fail(USAGE, str(error))
    try:
        submissions, content = read_message(wish, _login(), sys.stdin.buffer.read(MOST_BYTES + 1))
    except (BadMessageError, BadUsageError) as error:
        _fail(DATA_ERROR, str(error))
    code = 0
    for submission in submissions:
        code = code or _submit(runtime or _existing(RUNTIMES), spool or _existing(SPOOLS), submission, content)
    raise click.exceptions.Exit(code)


def _existing(places: Sequence[Path]) -> Path:
    return next((place for place in places[:-1] if place.is_dir()), places[-1])


def _login() -> str:
    """Name the user by what the system says, never by what the environment says."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid{os.getuid()}"


def _submit(runtime: Path, spool: Path, submission: Submission, content: bytes) -> int:
    """Give it to a worker that runs, else leave it on the volume; answers the exit code."""
    trouble = f"no service listens in {runtime}"
    for connected in _workers(runtime):
        with closing(connected):
            try:
                return _tell(_converse(connected, submission, content))
            except UnknownEndError as error:
                return _complain(TEMPORARY, f"it is not known whether the message was taken: {error}")
            except NotTakenError as error:
                trouble = str(error)
    try:
        leave(box_of(spool.absolute()), submission, content)
    except OSError as error:
        return _complain(TEMPORARY, f"{trouble}; and on the volume {spool}: {error.strerror or error}")
    return 0


def _workers(runtime: Path) -> Iterator[socket.socket]:
    """Connect to one worker after the other; those that are gone are left out."""
    for worker in range(MOST_WORKERS):
        path = runtime / submit_socket(worker)
        connecting = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connecting.settimeout(_CONNECT_SECONDS)
        try:
            connecting.connect(str(path))
        except OSError as error:
            connecting.close()
            if isinstance(error, FileNotFoundError) and worker:
                return
        else:
            yield connecting


def _converse(connected: socket.socket, submission: Submission, content: bytes) -> Handed:
    """Submit to one worker.

    Raises:
        NotTakenError, UnknownEndError: see ``hand_over``; a worker that is busy or ending is the former.
    """
    conversation = Conversation(connected)
    greeting = conversation.greet()
    if greeting.code != 250:
        raise NotTakenError(str(greeting))
    handed = hand_over(conversation, submission, len(content), [content], partly=False)
    if handed.reply.code == 421:
        raise NotTakenError(str(handed.reply))
    return handed


def _tell(handed: Handed) -> int:
    """Say what came of it, nothing if all went well."""
    if handed.taken:
        return 0
    for name, reply in handed.refused.items():
        click.echo(f"sendmail: {printable(name)}: {printable(str(reply))}", err=True)
    if not handed.refused:
        click.echo(f"sendmail: {printable(str(handed.reply))}", err=True)
    if handed.reply.transient:
        return TEMPORARY
    return NO_USER if handed.refused else UNAVAILABLE


def _complain(code: int, trouble: str) -> int:
    click.echo(f"sendmail: {printable(trouble)}", err=True)
    return code


def _fail(code: int, trouble: str) -> NoReturn:
    raise click.exceptions.Exit(_complain(code, trouble))
