"""A whole session of the server, begun in several states, and fed with any bytes at any pace."""

import asyncio
from typing import Final

from tests.fuzz.material import Material, cut, with_runs
from tests.fuzz.server import LISTENERS, Stage
from tests.fuzz.transport import run, settle, turns

_HELLO: Final = {"mx": b"EHLO client.example\r\n", "submission": b"EHLO me\r\n", "lmtp": b"LHLO client.example\r\n"}
_LOGIN: Final = b"AUTH PLAIN AGFsaWNlAHNlY3JldA==\r\n"
_MAIL: Final = b"MAIL FROM:<joe@client.example>\r\n"
_RCPT: Final = b"RCPT TO:<alice@example.test>\r\nRCPT TO:<list@example.test>\r\n"
_STATES: Final = (
    (),
    ("hello",),
    ("hello", "mail"),
    ("hello", "mail", "rcpt"),
    ("hello", "mail", "rcpt", "data"),
    ("hello", "mail", "rcpt", "chunk"),
    ("hello", "auth"),
    ("hello", "login"),
)
_LINES: Final = {"mail": _MAIL, "rcpt": _RCPT, "data": b"DATA\r\n", "chunk": b"BDAT 40\r\n", "auth": b"AUTH LOGIN\r\n"}


def fuzz_server(data: bytes) -> None:
    """Whatever a client says, and whenever it goes: see ``Stage.check``."""
    run(_converse(Material(data)))


async def _converse(source: Material) -> None:
    where, how, ending = source.byte(), source.byte(), source.byte()
    listener = LISTENERS[where % 3]
    state = _STATES[(where >> 2) % len(_STATES)]
    tls = listener == "submission" or bool(where & 128) or bool({"auth", "login"} & {*state})
    stage = Stage(listener, fault=how & 3 if how & 4 else 0, tls=tls)
    sizes = source.sizes()
    stage.session.connection_made(stage.transport)  # type: ignore[arg-type]  # enough of a transport
    await turns(2)
    for line in _begin(listener, state):
        await _feed(stage, line, patient=True)
    for chunk in cut(with_runs(source.rest()), sizes):
        await _feed(stage, chunk, patient=not how & 8)
    await _end(stage, ending)
    stage.check()


def _begin(listener: str, state: tuple[str, ...]) -> list[bytes]:
    """Spell what leads into a state; submission wants a login before MAIL."""
    lines = [_HELLO[listener]] if state else []
    lines += [_LOGIN] if "login" in state or (listener == "submission" and "mail" in state) else []
    return lines + [_LINES[step] for step in state if step in _LINES]


async def _feed(stage: Stage, chunk: bytes, *, patient: bool) -> None:
    """Hand bytes over as a transport does: not while it is paused, and not after the end."""
    if stage.transport.paused or patient:
        await settle(stage.session._task)
    if not stage.transport.closing:
        assert not stage.transport.paused
        stage.session.data_received(chunk)
        assert len(stage.session._input) <= 262_144 + 65_536
    await asyncio.sleep(0)


async def _end(stage: Stage, ending: int) -> None:
    """End as clients do: EOF, a reset, silence until the deadline; or as a server does that is told to stop."""
    session, transport = stage.session, stage.transport
    if ending & 8:
        await settle(session._task)
    if transport.closing:
        pass
    elif ending & 3 == 0:
        if not session.eof_received():
            transport.close()
    elif ending & 3 == 1:
        transport.lose(ConnectionResetError())
    elif ending & 3 == 2:
        session.expire(session.loop.time())
    else:
        stage.acceptor.draining = True
        session.wind_down()
        session.abandon()
    await settle(session._task)
    transport.close()
    await turns(3)
