"""An authoritative DNS server on loopback that answers from a dict, and misbehaves on request.

UDP and TCP on the same port; no recursion, nothing but the zones given. Names in the zones are absolute with or without
the last dot. `DnsServer` runs in the caller's event loop; `in_thread(DnsServer(...))` in one of its own.
"""

from __future__ import annotations

import asyncio
import enum
from collections import Counter
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

from .processes import LOOPBACK, free_port

TTL_SECONDS = 300
_SOA = "ns.invalid. hostmaster.invalid. 1 3600 600 86400 60"
_CNAME_LIMIT = 16

Zones = Mapping[str, Mapping[str, Sequence[str]]]
"""Name to record type to record data: `{"example.test": {"MX": ["10 mx.example.test."]}}`."""


class Fault(enum.Enum):
    """How to misbehave about a name."""

    SERVFAIL = "answer SERVFAIL"
    NXDOMAIN = "say that the name does not exist"
    REFUSED = "answer REFUSED"
    TIMEOUT = "never answer"
    TRUNCATED = "over UDP, answer nothing but the TC flag"
    WRONG_ID = "answer with another id than asked"
    WRONG_QUESTION = "answer another question than asked"
    GARBAGE = "answer bytes that are no DNS message"
    LAME = "refer to other servers, as one that does not know the zone"
    TCP_REFUSED = "truncate over UDP and close the TCP connection without an answer"


_RCODES = {
    Fault.SERVFAIL: dns.rcode.SERVFAIL,
    Fault.NXDOMAIN: dns.rcode.NXDOMAIN,
    Fault.REFUSED: dns.rcode.REFUSED,
}


class DnsServer:
    """The server: `zones` and `faults` may be changed at any time, `queries` counts (name, type) pairs.

    `faults` maps a name to its fault, or `name TYPE` to that of one type; `delays_seconds` a name to the time before
    its answer; `is_authentic` sets the AD flag, as a validating resolver would. Names are lower case without the last
    dot.
    """

    def __init__(
        self,
        zones: Zones,
        *,
        faults: Mapping[str, Fault] | None = None,
        host: str = LOOPBACK,
        port: int = 0,
        ttl_seconds: int = TTL_SECONDS,
        is_authentic: bool = False,
    ) -> None:
        self.host = host
        self.port = port
        self.ttl_seconds = ttl_seconds
        self.faults: dict[str, Fault] = dict(faults or {})
        self.delays_seconds: dict[str, float] = {}
        self.is_authentic = is_authentic
        self.queries: Counter[tuple[str, str]] = Counter()
        self.tcp_queries = 0
        self._zones: dict[str, Mapping[str, Sequence[str]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.change(zones)

    @property
    def address(self) -> tuple[str, int]:
        """Host and port that it listens on."""
        return self.host, self.port

    def change(self, zones: Zones) -> None:
        """Replace all zones; the next query is answered from them."""
        self._zones = {_plain(name): records for name, records in zones.items()}

    async def __aenter__(self) -> Self:
        self.port = self.port or free_port()
        loop = asyncio.get_running_loop()
        self._udp, _ = await loop.create_datagram_endpoint(lambda: _Udp(self), local_addr=self.address)
        self._tcp = await asyncio.start_server(self._serve_tcp, *self.address)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._udp.close()
        self._tcp.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def receive_datagram(self, wire: bytes, source: tuple[str, int]) -> None:
        """Answer a query that came over UDP, after its delay."""
        self._keep(asyncio.create_task(self._answer_datagram(wire, source)))

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer_datagram(self, wire: bytes, source: tuple[str, int]) -> None:
        answer = await self._answer(wire, is_udp=True)
        if answer is not None:
            self._udp.sendto(answer, source)

    async def _serve_tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._keep(task)
        try:
            while True:
                length = int.from_bytes(await reader.readexactly(2), "big")
                answer = await self._answer(await reader.readexactly(length), is_udp=False)
                if answer is None:
                    break
                writer.write(len(answer).to_bytes(2, "big") + answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _answer(self, wire: bytes, *, is_udp: bool) -> bytes | None:
        """Return the wire form of the answer; None for none at all."""
        query = dns.message.from_wire(wire)
        name = _plain(query.question[0].name.to_text())
        kind = dns.rdatatype.to_text(query.question[0].rdtype)
        self.queries[name, kind] += 1
        self.tcp_queries += not is_udp
        await asyncio.sleep(self.delays_seconds.get(name, 0))
        fault = self.faults.get(f"{name} {kind}", self.faults.get(name))
        if fault is Fault.TIMEOUT:
            await asyncio.Event().wait()
        if fault is Fault.GARBAGE:
            return b"\xff" * 7
        if fault is Fault.TCP_REFUSED and not is_udp:
            return None
        return self._wire(query, fault, is_udp=is_udp)

    def _wire(self, query: dns.message.Message, fault: Fault | None, *, is_udp: bool) -> bytes:
        if is_udp and fault in (Fault.TRUNCATED, Fault.TCP_REFUSED):
            return _truncated(query)
        if fault is Fault.LAME:
            return _referral(query)
        response = self._response(query, fault)
        if not is_udp:
            return response.to_wire(max_size=65_535)
        payload_bytes = query.payload if query.edns >= 0 else 512
        try:
            return response.to_wire(max_size=max(payload_bytes, 512))
        except dns.exception.TooBig:
            return _truncated(query)

    def _response(self, query: dns.message.Message, fault: Fault | None) -> dns.message.Message:
        response = dns.message.make_response(query)
        response.flags |= dns.flags.AA | (dns.flags.AD if self.is_authentic else 0)
        if fault in _RCODES:
            response.set_rcode(_RCODES[fault])
        else:
            self._fill(response, query)
        if fault is Fault.WRONG_ID:
            response.id = (query.id + 1) % 65536
        if fault is Fault.WRONG_QUESTION:
            response.question[0].name = dns.name.from_text("other.invalid.")
        return response

    def _fill(self, response: dns.message.Message, query: dns.message.Message) -> None:
        """Add the records asked for, following aliases; else NXDOMAIN, or no data where the name exists."""
        question = query.question[0]
        kind = dns.rdatatype.to_text(question.rdtype)
        name = _plain(question.name.to_text())
        for _ in range(_CNAME_LIMIT):
            records = self._zones.get(name, {})
            found = kind if kind in records else "CNAME"
            if found not in records:
                break
            response.answer.append(dns.rrset.from_text_list(f"{name}.", self.ttl_seconds, "IN", found, records[found]))
            if found == kind:
                return
            name = _plain(records["CNAME"][0])
        if not self._exists(name):
            response.set_rcode(dns.rcode.NXDOMAIN)
        response.authority.append(dns.rrset.from_text(f"{name}.", 60, "IN", "SOA", _SOA))

    def _exists(self, name: str) -> bool:
        return any(known == name or known.endswith(f".{name}") for known in self._zones)


class _Udp(asyncio.DatagramProtocol):
    def __init__(self, server: DnsServer) -> None:
        self._server = server

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._server.receive_datagram(data, addr)


def _plain(name: str) -> str:
    return name.lower().rstrip(".")


def _truncated(query: dns.message.Message) -> bytes:
    response = dns.message.make_response(query)
    response.flags |= dns.flags.TC
    return response.to_wire()


def _referral(query: dns.message.Message) -> bytes:
    """Point up to the root, with neither AA nor RA, as servers did that were asked for what is not theirs."""
    response = dns.message.make_response(query)
    response.authority.append(dns.rrset.from_text(".", 3_600, "IN", "NS", "ns.invalid."))
    return response.to_wire()
