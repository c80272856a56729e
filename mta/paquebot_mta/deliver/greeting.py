"""From a fresh connection to a session that can carry mail: banner, EHLO, STARTTLS, AUTH."""

import base64
import ssl
from collections.abc import Callable
from typing import Final, Literal

from msgspec import Struct

from paquebot_mta.config.actions import ClientTls
from paquebot_mta.deliver.capabilities import Capabilities, parse_capabilities
from paquebot_mta.deliver.dialogue import Dialogue
from paquebot_mta.deliver.faults import SessionFaultError, TlsFaultError
from paquebot_mta.deliver.reports import MASK
from paquebot_mta.deliver.tls import failure_reason
from paquebot_mta.mail.reply import Reply

_NO_TLS: Final = Reply(451, "TLS is required, but next hop does not offer it", "4.7.4")
_AUTH_NEEDS_TLS: Final = Reply(451, "Credentials are sent over TLS only", "4.7.10")
_NO_MECHANISM: Final = Reply(451, "Next hop offers no mechanism for AUTH that we know", "4.7.9")


class Manner(Struct, frozen=True):
    """How to open a session.

    Attributes:
        helo: our name; protocol: dialect; tls: policy; implicit_tls: TLS is on already.
        context: for STARTTLS; server_name: for SNI and verification.
        credentials: user name and password.
    """

    helo: str
    protocol: Literal["smtp", "lmtp"]
    tls: ClientTls
    implicit_tls: bool
    context: Callable[[], ssl.SSLContext]
    server_name: str
    credentials: tuple[str, str] | None = None


async def greet(dialogue: Dialogue, manner: Manner) -> Capabilities:
    """Open the session and give what the next hop offers at its end.

    Raises:
        TlsFaultError: the handshake failed.
        SessionFaultError: the next hop refused us, broke the connection, or does not meet the policy.
    """
    await _banner(dialogue)
    offered = await _identify(dialogue, manner)
    if await _secure(dialogue, manner, offered):
        # What was said before TLS must be forgotten (RFC 3207, 4.2).
        offered = await _identify(dialogue, manner)
    if manner.credentials is not None:
        await _authenticate(dialogue, offered, *manner.credentials)
    return offered


async def _banner(dialogue: Dialogue) -> None:
    """Read the banner. A 5yz says "no mail service here" (RFC 5321, 3.1): another hop may have it, so we defer."""
    banner = await dialogue.read(dialogue.timeouts.banner, phase="banner")
    if banner.code != 220:
        raise refusal("banner", banner)
    words = banner.text.split()
    dialogue.reports.greeted(words[0] if words else "")


async def _identify(dialogue: Dialogue, manner: Manner) -> Capabilities:
    """Say who we are: LHLO, or EHLO and HELO for servers that don't know it (RFC 5321, 4.1.1.1)."""
    if manner.protocol == "lmtp":
        return parse_capabilities(await _hello(dialogue, "LHLO", manner.helo))
    try:
        return parse_capabilities(await _hello(dialogue, "EHLO", manner.helo))
    except _NotUnderstoodError:
        await _hello(dialogue, "HELO", manner.helo)
        return Capabilities()


class _NotUnderstoodError(SessionFaultError):
    """EHLO was answered with 5yz."""


async def _hello(dialogue: Dialogue, method: Literal["HELO", "EHLO", "LHLO"], name: str) -> Reply:
    line = f"{method} {name}"
    dialogue.wire.put_line(line.encode())
    dialogue.wire.flush()
    dialogue.reports.client(line)

    def accepted(reply: Reply) -> None:
        if reply.code == 250:
            dialogue.reports.identified(method, name)

    reply = await dialogue.read(dialogue.timeouts.command, phase=method.lower(), before=accepted)
    if reply.code == 250:
        return reply
    fault = refusal(method, reply)
    raise _NotUnderstoodError(fault.cause, fault.reply) if method == "EHLO" and reply.permanent else fault


async def _secure(dialogue: Dialogue, manner: Manner, offered: Capabilities) -> bool:
    """Turn TLS on as the policy says; true if it was turned on now."""
    policy = manner.tls.policy
    if policy == "None" or dialogue.wire.tls is not None:
        return False
    required = policy != "Opportunistic"
    if not offered.starttls:
        if required:
            raise SessionFaultError("policy", _NO_TLS)
        return False
    reply = await dialogue.ask("STARTTLS", dialogue.timeouts.command, phase="starttls")
    if reply.code == 220:
        await _handshake(dialogue, manner)
        return True
    if required or reply.code == 421:
        raise refusal("STARTTLS", reply)
    return False


async def _handshake(dialogue: Dialogue, manner: Manner) -> None:
    try:
        await dialogue.wire.start_tls(manner.context(), manner.server_name, dialogue.timeouts.command)
    except TlsFaultError as fault:
        dialogue.reports.tls_failed(failure_reason(fault.__cause__ or fault))
        raise
    if dialogue.wire.tls is not None:
        dialogue.reports.tls(*dialogue.wire.tls)


async def _authenticate(dialogue: Dialogue, offered: Capabilities, user: str, password: str) -> None:
    """AUTH PLAIN (RFC 4616), or LOGIN where there is no PLAIN. A refusal defers: it is our configuration's fault."""
    if dialogue.wire.tls is None:
        raise SessionFaultError("policy", _AUTH_NEEDS_TLS)
    mechanism = next((each for each in ("PLAIN", "LOGIN") if each in offered.auth), None)
    if mechanism is None:
        raise SessionFaultError("policy", _NO_MECHANISM)
    exchange = _plain if mechanism == "PLAIN" else _login
    reply = await exchange(dialogue, user, password)
    passed = reply.code == 235
    result: Literal["pass", "fail", "error"] = "pass" if passed else "fail" if reply.permanent else "error"
    dialogue.reports.authenticated(result, user, mechanism)
    if not passed:
        raise refusal("AUTH", reply)


async def _plain(dialogue: Dialogue, user: str, password: str) -> Reply:
    secret = _base64(f"\0{user}\0{password}")
    shown = f"AUTH PLAIN {MASK}"
    return await dialogue.ask(f"AUTH PLAIN {secret}", dialogue.timeouts.command, phase="auth", shown=shown)


async def _login(dialogue: Dialogue, user: str, password: str) -> Reply:
    seconds = dialogue.timeouts.command
    reply = await dialogue.ask("AUTH LOGIN", seconds, phase="auth")
    for secret in (user, password):
        if reply.code != 334:
            break
        reply = await dialogue.ask(_base64(secret), seconds, phase="auth", shown=MASK)
    return reply


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def refusal(step: str, reply: Reply) -> SessionFaultError:
    """Make the fault of a refused step: the reply itself if it is 4yz, else a 4yz one that quotes it."""
    if reply.transient:
        return SessionFaultError("refused", reply)
    return SessionFaultError("refused", Reply(451, f"Next hop refused {step}: {reply}", "4.4.0"))
