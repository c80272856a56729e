"""What ``paquebot run`` says when it starts: where it listens, and lines to copy."""

import shlex
import sys
from pathlib import Path

from paquebot_mta.config.domains import Domain
from paquebot_mta.config.listeners import Listener
from paquebot_mta.config.service import MtaConfig
from paquebot_operator.local.build import Build
from paquebot_operator.local.state import State


def welcome(build: Build, state: State, admin: str) -> list[str]:
    """Lines for people; empty if there is no configuration."""
    config = build.config
    if config is None:
        return []
    lines = [f"Paquebot carries mail for {config.service.hostname}. It listens on:"]
    lines += [f"  {_place(listener):22} {_about(listener)}" for listener in config.service.listeners]
    lines.append(f"  {admin:22} admin: /metrics /healthz /readyz /config")
    if build.users:
        lines.append(f"Log in as {', '.join(build.users)}: passwords are in {state.credentials}")
    if build.certificate is not None:
        lines.append(f"The self-signed certificate is {state.certificate_file(build.certificate)}")
    return [*lines, *_first_message(config), "Ctrl-C stops it; the queue is kept."]


def _place(listener: Listener) -> str:
    return listener.address if not listener.port else f"{listener.address}:{listener.port}"


def _about(listener: Listener) -> str:
    tls = {"Off": "", "StartTLS": ", STARTTLS", "Implicit": ", TLS"}[listener.tls.mode]
    auth = {"Off": "", "Optional": ", AUTH", "Required": ", AUTH required"}[listener.auth.mode]
    return f"{listener.name}: {listener.role}{tls}{auth}"


def _first_message(config: MtaConfig) -> list[str]:
    """A line that sends a message to the first mailbox, and one that shows it."""
    domain = next((each for _, each in sorted(config.domains.items()) if each.mailboxes), None)
    server = next((each for each in config.service.listeners if each.role == "MX" and each.port), None)
    if domain is None or server is None:
        return []
    to = shlex.quote(f"{domain.mailboxes[0]}@{domain.name}")
    program = shlex.quote(_program())
    send = f"{program} send --server {_place(server)} --to {to} --subject 'Bon voyage' --body 'First message'"
    return ["Send a first message, and look at it:", f"  {send}", *_show(domain), f"  {program} show queue"]


def _show(domain: Domain) -> list[str]:
    maildir = domain.delivery.maildir
    if maildir is None or "%{extension}" in maildir.path:
        return []
    path = maildir.path.replace("%{user}", domain.mailboxes[0]).replace("%{domain}", domain.name)
    return [f"  cat {shlex.quote(path)}/new/*"]


def _program() -> str:
    """How this program is called from here: relative to the working directory if it lies below."""
    beside = Path(sys.executable).with_name("paquebot")
    if not beside.exists():
        return "paquebot"
    return str(beside.relative_to(Path.cwd())) if beside.is_relative_to(Path.cwd()) else str(beside)
