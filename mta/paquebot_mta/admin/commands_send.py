"""``paquebot send``: try the service with one message, without another mail program."""

import getpass
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from paquebot_mta.admin.output import printable
from paquebot_mta.mail.address import parse_address
from paquebot_mta.mail.reply import Reply

if TYPE_CHECKING:
    from email.message import EmailMessage

    from paquebot_mta.admin.submission import Sent, Server

FILE: Final = click.Path(path_type=Path, exists=True, dir_okay=False, readable=True)
DEFAULT_BODY: Final = "Ahoy! This message was sent with `paquebot send`."


def _read_address(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    if not value:
        return value
    try:
        parse_address(value)
    except ValueError as error:
        raise click.BadParameter(f"{value!r}: {error}") from None
    return value


def _read_addresses(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    for value in values:
        if not value:
            raise click.BadParameter("an address is empty")
        _read_address(context, parameter, value)
    return values


def _read_server(_context: click.Context, _parameter: click.Parameter, value: str) -> tuple[str, int]:
    host, _, port = value.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65_536:
        raise click.BadParameter(f"{value!r} is not HOST:PORT")
    return host.removeprefix("[").removesuffix("]"), int(port)


@click.command()
@click.option(
    "--to", "recipients", multiple=True, required=True, callback=_read_addresses, help="Recipient; repeatable."
)
@click.option("--from", "sender", callback=_read_address, help="Sender. [default: the user's name, else yours]")
@click.option("--subject", default="A message from Paquebot", show_default=True, help="Subject.")
@click.option("--body", default=DEFAULT_BODY, help="Text; - reads standard input.")
@click.option("--server", default="127.0.0.1:2525", show_default=True, callback=_read_server, help="HOST:PORT.")
@click.option("--starttls", is_flag=True, help="Start TLS, or fail.")
@click.option("--user", default="", help="Log in as this user.")
@click.option("--password-file", type=FILE, help="File that holds the password, or lines `USER PASSWORD`.")
@click.option("--ca", "authorities", type=FILE, help="Trust the certificates in this PEM file (with --starttls).")
@click.option("--insecure", is_flag=True, help="Trust any certificate (with --starttls).")
@click.option("-v", "--verbose", is_flag=True, help="Print each reply of the server.")
def send(
    recipients: tuple[str, ...],
    sender: str | None,
    subject: str,
    body: str,
    server: tuple[str, int],
    verbose: bool,
    **security: object,
) -> None:
    """Send a message by SMTP and say its id in the queue.

    \b
    Example:
        paquebot send --to alice@example.test
        echo Hello | paquebot send --to bob@example.test --body - --server 127.0.0.1:5870 \\
            --starttls --insecure --user alice@example.test --password-file .paquebot/credentials.txt
    """
    from paquebot_mta.admin.submission import SendError, submit

    where = _server(server, **security)  # type: ignore[arg-type]  # click gives the types that the options name
    sender = sender if sender is not None else _default_sender(where.user)
    message = _compose(sender, recipients, subject, sys.stdin.read() if body == "-" else body)
    try:
        sent = submit(where, sender, recipients, message, _tell if verbose else lambda reply: None)
    except SendError as error:
        raise click.ClickException(printable(str(error))) from None
    _report(sent)


def _server(
    server: tuple[str, int],
    *,
    starttls: bool,
    user: str,
    password_file: Path | None,
    authorities: Path | None,
    insecure: bool,
) -> "Server":
    """Check that the options fit together."""
    from paquebot_mta.admin.submission import Server, tls_context

    if (authorities or insecure) and not starttls:
        raise click.UsageError("--ca and --insecure need --starttls")
    if authorities and insecure:
        raise click.UsageError("--ca and --insecure exclude each other")
    if bool(user) != bool(password_file):
        raise click.UsageError("--user and --password-file need each other")
    try:
        tls = tls_context(authorities, insecure=insecure) if starttls else None
    except OSError as error:
        raise click.ClickException(f"{authorities} holds no certificates that can be read: {error}") from None
    return Server(*server, tls, user, _password(user, password_file) if password_file else "")


def _password(user: str, path: Path) -> str:
    """Find the password: of the user's line, else the only line."""
    lines = path.read_text(encoding="utf-8").splitlines()
    for line in lines:
        name, _, password = line.partition(" ")
        if name == user and password:
            return password.strip()
    if len(lines) != 1:
        raise click.ClickException(f"{path} has no line `{user} PASSWORD`")
    return lines[0]


def _default_sender(user: str) -> str:
    if "@" in user:
        return user
    host = socket.gethostname()
    return f"{getpass.getuser()}@{host if '.' in host else f'{host}.invalid'}"


def _compose(sender: str, recipients: tuple[str, ...], subject: str, body: str) -> "EmailMessage":
    from paquebot_mta.admin.submission import compose

    try:
        return compose(sender, recipients, subject, body)
    except ValueError as error:
        raise click.UsageError(str(error)) from None


def _tell(reply: Reply) -> None:
    """Print a reply as it came, line by line."""
    for line in reply.encode().decode().splitlines():
        click.echo(f"S: {printable(line)}", err=True)


def _report(sent: "Sent") -> None:
    """Say what came of it; a refused recipient is a failure."""
    if sent.queue_id:
        click.echo(
            f"queued as {sent.queue_id}; follow it with `paquebot show queue {sent.queue_id}` or "
            f"`paquebot trace {sent.queue_id}`"
        )
    else:
        click.echo(f"accepted: {printable(str(sent.reply))}")
    for recipient, reply in sent.refused.items():
        click.echo(f"refused: {recipient}: {printable(str(reply))}", err=True)
    if sent.refused:
        raise click.exceptions.Exit(1)
