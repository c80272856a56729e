"""The check itself: ``check_host()`` of RFC 7208, 4, with its limits."""

import asyncio
import time
from collections.abc import Callable
from typing import Final

from msgspec import Struct

from paquebot_mta.mailauth.spf.lookups import Lookups
from paquebot_mta.mailauth.spf.macro import MacroString, as_name, expand, parse_explanation, uses
from paquebot_mta.mailauth.spf.names import IpAddress, below, can_have_policy, dotted, parse_client
from paquebot_mta.mailauth.spf.record import Mechanism, Record, parse_record
from paquebot_mta.mailauth.spf.values import Dns, Result, SpfDnsError, SpfError, SpfResult, SpfSyntaxError

TIMEOUT_SECONDS: Final = 20.0
"""RFC 7208, 4.6.4: at least 20 seconds."""
_ASKING: Final = frozenset({"include", "a", "mx", "ptr", "exists"})


async def check_spf(
    dns: Dns,
    *,
    client_address: str,
    reverse_path: str,
    helo: str,
    receiver: str = "unknown",
    timeout_seconds: float = TIMEOUT_SECONDS,
    now: Callable[[], float] = time.time,
) -> SpfResult:
    """Check MAIL FROM, or HELO where the reverse path is null (RFC 7208, 2.4).

    Args:
        reverse_path: without brackets, empty for ``<>``.
        receiver: our name, for the text of an explanation.
        timeout_seconds: of all questions together.
        now: seconds since 1970, for the text of an explanation.

    Returns:
        ``none`` also for a client without an address; a deadline that passed is ``temperror``. Never raises.
    """
    sender = reverse_path or f"postmaster@{helo}"
    local_part, _, domain = sender.rpartition("@")
    domain = as_name(domain)
    try:
        address = parse_client(client_address)
    except ValueError:
        return SpfResult("none", domain)
    identity = _Identity(local_part or "postmaster", domain, helo, receiver, str(int(now())))
    check = _Check(Lookups(dns, address), address, identity)
    try:
        async with asyncio.timeout(timeout_seconds):
            return await check.run(domain)
    except TimeoutError:
        return SpfResult("temperror", domain, problem="out of time")
    except SpfError as error:
        return SpfResult(error.result, domain, problem=str(error))


class _Identity(Struct, frozen=True):
    """What macros are made of, besides the client and the current domain."""

    local_part: str
    domain: str
    helo: str
    receiver: str
    seconds: str


class _Check:
    """One check; ``domain`` changes with ``include`` and ``redirect``."""

    def __init__(self, lookups: Lookups, address: IpAddress, identity: _Identity) -> None:
        self._lookups = lookups
        self._address = address
        self._identity = identity

    async def run(self, domain: str, *, explain: bool = True) -> SpfResult:
        """Evaluate one domain's policy; raises SpfError."""
        if not can_have_policy(domain):
            return SpfResult("none", domain)
        policies = await self._lookups.policies(domain)
        if len(policies) != 1:
            if policies:
                raise SpfSyntaxError(f"{domain} has several SPF records")
            return SpfResult("none", domain)
        return await self._evaluate(domain, parse_record(policies[0]), explain=explain)

    async def _evaluate(self, domain: str, record: Record, *, explain: bool) -> SpfResult:
        for mechanism in record.mechanisms:
            if mechanism.kind in _ASKING:
                self._lookups.count_term()
            if await self._matches(mechanism, domain):
                text = await self._explain(record, domain) if explain and mechanism.result == "fail" else ""
                return SpfResult(mechanism.result, domain, mechanism.text, text)
        if record.redirect is None or any(each.kind == "all" for each in record.mechanisms):
            return SpfResult("neutral", domain)
        self._lookups.count_term()
        return await self._redirect(await self._expanded(record.redirect, domain), explain=explain)

    async def _redirect(self, target: str, *, explain: bool) -> SpfResult:
        """Let another domain decide (RFC 7208, 6.1)."""
        result = await self.run(target, explain=explain)
        if result.result == "none":
            raise SpfSyntaxError(f"redirect to {target}, which has no policy")
        return result

    async def _matches(self, mechanism: Mechanism, domain: str) -> bool:
        match mechanism.kind:
            case "all":
                return True
            case "ip4" | "ip6":
                return mechanism.network is not None and self._address in mechanism.network
        target = domain if mechanism.domain is None else await self._expanded(mechanism.domain, domain)
        match mechanism.kind:
            case "include":
                return await self._included(target)
            case "exists":
                return await self._lookups.exists(target)
            case "a":
                return await self._lookups.host_matches(target, mechanism.length4, mechanism.length6)
            case "ptr":
                return await self._reverse_matches(target)
        for host in await self._lookups.mail_hosts(target):
            if await self._lookups.host_matches(host, mechanism.length4, mechanism.length6):
                return True
        return False

    async def _included(self, target: str) -> bool:
        """Only ``pass`` matches; errors are this check's, too (RFC 7208, 5.2)."""
        result: Result = (await self.run(target, explain=False)).result
        if result == "none":
            raise SpfSyntaxError(f"include of {target}, which has no policy")
        return result == "pass"

    async def _reverse_matches(self, target: str) -> bool:
        return any(below(name, target) for name in await self._lookups.validated_names())

    async def _explain(self, record: Record, domain: str) -> str:
        """Fetch the publisher's text; whatever is wrong with it, there is none (RFC 7208, 6.2)."""
        if record.explanation is None:
            return ""
        try:
            text = await self._lookups.explanation(await self._expanded(record.explanation, domain))
            if text is None or not text.isascii() or not text.isprintable():
                return ""
            return await self._filled(parse_explanation(text), domain)
        except (SpfSyntaxError, SpfDnsError):
            return ""

    async def _expanded(self, parts: MacroString, domain: str) -> str:
        return as_name(await self._filled(parts, domain))

    async def _filled(self, parts: MacroString, domain: str) -> str:
        if len(parts) == 1 and isinstance(parts[0], str):
            return parts[0]
        known = self._identity
        values = {
            "s": f"{known.local_part}@{known.domain}",
            "l": known.local_part,
            "o": known.domain,
            "d": domain,
            "i": dotted(self._address),
            "v": "in-addr" if self._address.version == 4 else "ip6",
            "h": known.helo,
            "c": str(self._address),
            "r": known.receiver,
            "t": known.seconds,
            "p": await self._lookups.validated_name(domain) if uses(parts, "p") else "",
        }
        return expand(parts, values)
