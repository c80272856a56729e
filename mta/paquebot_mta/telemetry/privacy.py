"""Personal data in logs: addresses become pseudonyms, client addresses networks, free text is scrubbed of both.

The same person has the same token everywhere, so that support can search for it: ``h:`` and 12 hex digits of
HMAC-SHA256 over the lower-cased address. Next hops and our own addresses are published in DNS and stay as they are.
"""

import hmac
import ipaddress
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final, Literal

from paquebot_mta.config.service import Logging

Mode = Literal["Full", "Pseudonym", "Minimal"]

_CACHED: Final = 8_192
_MAX_TEXT: Final = 2_048
# Possessive, and only from where a word begins: a hostile reply costs one pass.
_ADDRESS: Final = re.compile(
    r"""(?:"[^"\r\n]{1,128}"|(?<![^\s<>()\[\],;:"@])[^\s<>()\[\],;:"@]++)@(?:\[[^\]\s]{1,64}\]|[^\s<>()\[\],;:"@]{1,255})"""
)
_IPV4: Final = re.compile(r"(?<![\d.])(\d{1,3})([.-])(\d{1,3})\2(\d{1,3})\2\d{1,3}(?![\d])")
_IPV6: Final = re.compile(r"(?<![\w:.])(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{0,4}(?![\w:])")
_SECRET: Final = re.compile(r"^(AUTH[ ]+[^ ]+)[ ]+.*", re.IGNORECASE | re.DOTALL)
_SHORTEST_NAME: Final = 3
_IPV4_MARKS: Final = 3
_IPV6_MARKS: Final = 2


class Privacy:
    """Shows addresses as a mode allows.

    Args:
        mode: ``Full`` as they are; ``Pseudonym`` a token for the local-part; ``Minimal`` no local-part at all.
        key: of the pseudonyms; without it they'd be a dictionary attack away.
    """

    def __init__(self, mode: Mode = "Pseudonym", key: bytes = b"") -> None:
        self.mode: Final = mode
        self._key = key
        self.address = lru_cache(_CACHED)(self._address)
        self._network = lru_cache(_CACHED)(_network)

    def user(self, name: str) -> str:
        """Show a user's or mailbox's name, which may be an address."""
        return name if self.mode == "Full" or not name else self.address(name)

    def scrub(self, text: str, known: Iterable[str] = ()) -> str:
        """Take addresses, IP addresses, and the local-parts of ``known`` addresses, out of free text."""
        if self.mode == "Full":
            return text[:_MAX_TEXT]
        text = text[:_MAX_TEXT]
        if text[:4].upper() == "AUTH":
            text = _SECRET.sub(r"\1 ********", text)
        if "@" in text:
            text = _ADDRESS.sub(lambda found: self.address(found[0]), text)
        low = text.lower()
        for address in known:
            name = address.rpartition("@")[0]
            if len(name) >= _SHORTEST_NAME and name.lower() in low:
                text = self._without_name(text, name, address)
        return _cut_addresses(text)

    def client(self, source: str) -> str:
        """Show a client's ``address:port``: its /24 or /48, without the port."""
        if self.mode == "Full" or source.startswith("unix:") or source in {"", "local"}:
            return source
        host = source.rpartition(":")[0] if source.count(":") == 1 or source.startswith("[") else source
        return self._network(host) or self.scrub(source)

    def _address(self, address: str) -> str:
        """Show an address; the null reverse-path stays empty, a name without domain becomes a bare token."""
        if self.mode == "Full" or not address:
            return address
        _, separator, domain = address.rpartition("@")
        shown = "*" if self.mode == "Minimal" else self._token(address)
        if not separator:
            return shown
        return f"{shown}@{_cut_addresses(domain)}"

    def _token(self, address: str) -> str:
        return "h:" + hmac.digest(self._key, address.lower().encode("utf-8", "surrogateescape"), "sha256").hex()[:12]

    def _without_name(self, text: str, name: str, address: str) -> str:
        whole = re.compile(rf"(?<![\w@-]){re.escape(name)}(?![\w@-])", re.IGNORECASE)
        return whole.sub(lambda _: self.address(address).partition("@")[0], text)


def privacy_of(settings: Logging, fallback_key: bytes) -> Privacy:
    """Make what the configuration asks for; ``fallback_key`` (random, of the process) if it gives no key."""
    return Privacy(settings.personal_data, settings.pseudonym_key.encode() or fallback_key)


def _cut_addresses(text: str) -> str:
    """Cut IP addresses in text. Counting what each must have is ten times cheaper than looking for it."""
    if text.count(".") >= _IPV4_MARKS or text.count("-") >= _IPV4_MARKS:
        text = _IPV4.sub(_cut_ipv4, text)
    return _IPV6.sub(_cut_ipv6, text) if text.count(":") >= _IPV6_MARKS else text


def _network(text: str) -> str:
    """Name the network of ``192.0.2.1``, ``2001:db8::1`` or ``[2001:db8::1]``; empty if it is none of them."""
    try:
        found = ipaddress.ip_address(text.strip("[]").partition("%")[0])
    except ValueError:
        return ""
    if found.is_loopback:
        return str(found)
    return str(ipaddress.ip_network((found, 24 if found.version == 4 else 48), strict=False))


def _cut_ipv4(found: re.Match[str]) -> str:
    """Cut an IPv4 address in text, in a host name (``192-0-2-1.example``) too."""
    if not all(0 <= int(found[group]) <= 255 for group in (1, 3, 4)) or found[0].startswith("127.0.0."):
        return found[0]
    parts = found[2].join((found[1], found[3], found[4], "0"))
    return f"{parts}/24" if found[2] == "." else parts


def _cut_ipv6(found: re.Match[str]) -> str:
    return _network(found[0]) or found[0]
