"""A session as a filter would have heard of it, had it been there: for sessions that began before it did.

So a filter that was started anew, or one of a recipient's domain, understands what it is asked about.
"""

from collections.abc import Iterator
from typing import Literal, cast

from paquebot_mta.filter.contract import Facts
from paquebot_mta.mail.ids import Msgid
from paquebot_mta.telemetry.events import (
    LinkAuth,
    LinkConnect,
    LinkGreeting,
    LinkIdentify,
    LinkTls,
    Report,
    TxBegin,
    TxMail,
    TxRcpt,
)

_TLS_PARTS = 3


def reports_of(facts: Facts) -> Iterator[Report]:
    """Give the reports that lead to where the session is, in order; of its addresses only the ports may be missing."""
    session, endpoint = facts.session, facts.endpoint
    yield LinkConnect(
        direction="in",
        session=session,
        endpoint=endpoint,
        rdns=facts.client_name,
        fcrdns=facts.fcrdns,
        source=_spell(facts.client_address, facts.client_port),
        destination=_spell(facts.local_address or "local", 0),
    )
    yield LinkGreeting(direction="in", session=session, endpoint=endpoint, hostname=facts.hostname)
    if len(parts := facts.tls.split(":")) == _TLS_PARTS and parts[2].isdecimal():
        yield LinkTls(
            direction="in", session=session, endpoint=endpoint, version=parts[0], cipher=parts[1], bits=int(parts[2])
        )
    if facts.method:
        method = cast(Literal["HELO", "EHLO", "LHLO"], facts.method)
        yield LinkIdentify(direction="in", session=session, endpoint=endpoint, method=method, identity=facts.helo)
    if facts.user:
        yield LinkAuth(direction="in", session=session, endpoint=endpoint, result="pass", username=facts.user)
    if facts.msgid is not None and facts.reverse_path is not None:
        yield from _transaction(facts, facts.msgid, facts.reverse_path)


def _transaction(facts: Facts, msgid: Msgid, reverse_path: str) -> Iterator[Report]:
    session, endpoint = facts.session, facts.endpoint
    yield TxBegin(direction="in", session=session, endpoint=endpoint, msgid=msgid)
    yield TxMail(direction="in", session=session, endpoint=endpoint, msgid=msgid, result="ok", address=reverse_path)
    for address in facts.recipients:
        yield TxRcpt(direction="in", session=session, endpoint=endpoint, msgid=msgid, result="ok", address=address)


def _spell(address: str, port: int) -> str:
    if address == "local":
        return "unix:"
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
