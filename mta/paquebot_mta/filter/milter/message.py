"""A message as a milter is told it: fields, the end of the header, pieces of the body, the end."""

from collections.abc import Callable
from typing import Final

from paquebot_mta.filter.contract import Content
from paquebot_mta.filter.milter.connection import Connection
from paquebot_mta.filter.milter.replies import CONTINUE, SKIPPED
from paquebot_mta.filter.milter.wire import MilterError, macros, packet, strings
from paquebot_mta.mail.header import Field, scan_fields

PIECE_BYTES: Final = 65_535
"""Longest piece of a body, unless more was agreed on."""
_AHEAD_BYTES: Final = 262_144
"""How much is sent in one go where no answers are wanted."""

Answer = tuple[bytes, bytes]


async def tell_message(
    connection: Connection, content: Content, known: dict[str, str], on_change: Callable[[bytes, bytes], None]
) -> Answer:
    """Tell all of it, and give the last answer: the first that is not "continue" if it comes before the end.

    Args:
        known: macros.
        on_change: takes modifications.

    Raises:
        OSError, TimeoutError, MilterError: as the connection.
    """
    for tell in (_tell_header, _tell_end_of_header, _tell_body):
        letter, data = await tell(connection, content, known)
        if letter != CONTINUE:
            return letter, data
    return await connection.ask(macros(b"E", known) + packet(b"E"), on_change)


async def _tell_header(connection: Connection, content: Content, known: dict[str, str]) -> Answer:
    if not connection.options.wants(b"L"):
        return CONTINUE, b""
    header = await content.read(0, content.header_size)
    waiting = bytearray(macros(b"L", known))
    for field in scan_fields(header, len(header)):
        if not field.name:
            continue  # junk between fields is nobody's field
        waiting += packet(b"L", _field_data(field, keep_space=connection.options.keeps_space))
        if connection.options.answers(b"L"):
            letter, data = await connection.ask(bytes(waiting))
            if letter != CONTINUE:
                return _checked(letter), data
            waiting.clear()
        elif len(waiting) > _AHEAD_BYTES:
            await connection.tell(bytes(waiting))
            waiting.clear()
    await connection.tell(bytes(waiting))
    return CONTINUE, b""


async def _tell_end_of_header(connection: Connection, content: Content, known: dict[str, str]) -> Answer:
    return await _step(connection, b"N", macros(b"N", known) + packet(b"N"))


async def _tell_body(connection: Connection, content: Content, known: dict[str, str]) -> Answer:
    if not connection.options.wants(b"B"):
        return CONTINUE, b""
    for offset in range(content.header_size, content.size, PIECE_BYTES):
        letter, data = await _step(connection, b"B", packet(b"B", await content.read(offset, PIECE_BYTES)), body=True)
        if letter == SKIPPED:
            break
        if letter != CONTINUE:
            return letter, data
    return CONTINUE, b""


async def _step(connection: Connection, letter: bytes, command: bytes, *, body: bool = False) -> Answer:
    if not connection.options.wants(letter):
        return CONTINUE, b""
    if not connection.options.answers(letter):
        await connection.tell(command)
        return CONTINUE, b""
    answer, data = await connection.ask(command)
    return (answer if body and connection.options.skips else _checked(answer)), data


def _checked(letter: bytes) -> bytes:
    if letter == SKIPPED:
        raise MilterError("it skips what it can't skip")
    return letter


def _field_data(field: Field, *, keep_space: bool) -> bytes:
    """Give name and value; lines of a folded one end with LF here, as Sendmail's do."""
    value = field.value.replace(b"\r\n", b"\n")
    if not keep_space and value[:1] in {b" ", b"\t"}:
        value = value[1:]
    return strings(field.name, value)
