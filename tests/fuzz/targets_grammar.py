"""Grammars of one line: commands, addresses, the PROXY header; and header sections."""

from collections.abc import AsyncIterator

from paquebot_mta.deliver.capabilities import Capabilities
from paquebot_mta.deliver.commands import mail_line, rcpt_line
from paquebot_mta.deliver.transport import Task
from paquebot_mta.mail import address as addresses
from paquebot_mta.mail.address import ADDRESS_OCTETS, Address, AddressError, parse_address, parse_domain, parse_path
from paquebot_mta.mail.commands import Mail, Recipient, parse_chunk, parse_command, parse_host, parse_mail
from paquebot_mta.mail.commands import parse_recipient as parse_rcpt
from paquebot_mta.mail.envelope import Envelope, Message
from paquebot_mta.mail.header import count_fields, find_body, scan_fields, strip_fields
from paquebot_mta.mail.ids import Evpid, Msgid
from paquebot_mta.mail.parameters import CommandError
from paquebot_mta.mail.proxy import HEADER_BYTES, ProxyError, missing_bytes, parse_proxy
from tests.fuzz.material import Material

_ALL = Capabilities(size=0, eight_bit=True, smtputf8=True, dsn=True)
_MSGID = Msgid("0badcafe")


def fuzz_command(data: bytes) -> None:
    """A line is a value or a refusal that can be sent; what was accepted is spelled again by the client, equal."""
    source = Material(data)
    choice = source.byte()
    try:
        command = parse_command(source.rest())
        assert command.verb.isprintable()
        assert command.argument.isprintable()
        _parse(command.argument, choice)
    except CommandError as refusal:
        wire = refusal.reply.encode()
        assert wire.startswith(b"5")
        assert wire[:-2].decode().isprintable()
        assert wire.endswith(b"\r\n")


def _parse(argument: str, choice: int) -> None:
    dsn, utf8 = bool(choice & 8), bool(choice & 16)
    match choice & 3:
        case 0:
            _check_mail(parse_mail(argument, dsn=dsn))
        case 1:
            found = parse_rcpt(argument, dsn=dsn, smtputf8=utf8, postmaster_domain="mx.example.test")
            _check_recipient(found, utf8=utf8)
        case 2:
            assert 0 <= parse_chunk(argument).size < 10**20
        case _:
            host = parse_host(argument)
            assert host.isascii()
            assert host.isprintable()
            assert " " not in host
            assert len(host) <= 255


def _check_mail(mail: Mail) -> None:
    path = "" if mail.reverse_path is None else str(mail.reverse_path)
    message = Message(
        _MSGID,
        path,
        0.0,
        mail.size,
        (),
        body=mail.body,
        smtputf8=mail.smtputf8,
        dsn_return=mail.dsn_return,
        dsn_envelope_id=mail.dsn_envelope_id,
    )
    spelled = mail_line(_task(message, path), _ALL)
    again = parse_mail(parse_command(spelled.encode()).argument, dsn=True)
    assert again == Mail(
        mail.reverse_path, mail.size, mail.body, mail.smtputf8, mail.dsn_return, mail.dsn_envelope_id
    ), spelled


def _check_recipient(found: Recipient, *, utf8: bool) -> None:
    assert utf8 or found.address.ascii
    spelled = str(found.address)
    envelope = Envelope(Evpid(f"{_MSGID}00000001"), spelled, spelled, "out", "", "", found.notify)
    line = rcpt_line(envelope, _ALL, "Address")
    again = parse_rcpt(parse_command(line.encode()).argument, dsn=True, smtputf8=True)
    assert again == Recipient(found.address, found.notify)


def _task(message: Message, path: str) -> Task:
    return Task(message, (), path, _no_content, _never)


async def _no_content() -> AsyncIterator[bytes]:
    yield b""


async def _never() -> bool:
    return False


def fuzz_address(data: bytes) -> None:
    """What is read is spelled so that it is read again, equal; the fast path judges as the full parser does."""
    text = data.decode("utf-8", "ignore")
    found = _address(text)
    assert found == _slow_address(text)
    if found is not None:
        _check_address(found)
        assert parse_path(f"<{text}>") == found
    _check_domain(text)


def _check_address(found: Address) -> None:
    spelled = str(found)
    assert spelled.isprintable()
    assert len(spelled.encode()) <= ADDRESS_OCTETS
    assert parse_address(spelled) == found
    assert parse_domain(found.domain) == found.domain
    assert found.ascii is spelled.isascii()
    assert found.key == found.key.lower()


def _check_domain(text: str) -> None:
    try:
        domain = parse_domain(text)
    except AddressError:
        return
    assert domain.isascii()
    assert parse_domain(domain) == domain


def _address(text: str) -> Address | None:
    try:
        return parse_address(text)
    except AddressError:
        return None


def _slow_address(text: str) -> Address | None:
    try:
        return addresses._parse_slowly(text)
    except AddressError:
        return None


def fuzz_header(data: bytes) -> None:
    """Fields follow one another without a gap up to the body; to leave a field out leaves all others as they were."""
    source = Material(data)
    limit = source.word() or 1 << 20
    content = source.rest()
    fields = tuple(scan_fields(content, limit))
    position = 0
    for each in fields:
        assert position == each.start < each.end <= min(len(content), limit)
        assert each.value in content[each.start : each.end]
        position = each.end
    body = find_body(content, limit)
    assert body is None or content[position:body] in {b"\n", b"\r\n"}
    for name in {each.name for each in fields}:
        _check_strip(content, name)


def _check_strip(content: bytes, name: bytes) -> None:
    everything = len(content)
    left = strip_fields(content, name, everything)
    kept = tuple(each.value for each in scan_fields(content, everything) if each.name.lower() != name.lower())
    assert tuple(each.value for each in scan_fields(left, everything)) == kept
    assert count_fields(left, name, everything) == 0


def fuzz_proxy(data: bytes) -> None:
    """A header is read to its last byte and not one further, bounded, and gives addresses or an error."""
    held = b""
    try:
        while (missing := missing_bytes(held)) > 0:
            assert len(held) + missing <= HEADER_BYTES
            if len(held) + missing > len(data):
                return
            held += data[len(held) : len(held) + missing]
        assert missing == 0
        ends = parse_proxy(held)
    except ProxyError:
        return
    for host, port in (ends.source, ends.destination) if ends is not None else ():
        assert parse_domain(f"[IPv6:{host}]" if ":" in host else f"[{host}]")
        assert 0 <= port <= 65_535
