"""SMTP replies: code, enhanced status code and text (RFC 5321, 4.2; RFC 3463)."""

from typing import Self

from msgspec import Struct


class Reply(Struct, frozen=True, omit_defaults=True):
    """One reply, ours or a remote server's.

    Attributes:
        code: three digits, 200 to 599.
        text: what follows the codes; lines are separated by ``\\n``; never holds other control characters.
        status: enhanced status code such as ``5.1.1`` (RFC 3463), empty if there is none.
        remote: a next hop said it to us; false for our own words, also those that quote somebody.
    """

    code: int
    text: str
    status: str = ""
    remote: bool = False

    @property
    def positive(self) -> bool:
        """2yz or 3yz."""
        return 200 <= self.code < 400

    @property
    def transient(self) -> bool:
        """4yz: the same command may succeed later."""
        return 400 <= self.code < 500

    @property
    def permanent(self) -> bool:
        """5yz: the same command must not be tried again."""
        return self.code >= 500

    def with_suffix(self, suffix: str) -> Self:
        """Make the same reply with more text at its end."""
        return type(self)(self.code, self.text + suffix, self.status)

    def encode(self) -> bytes:
        """Spell the reply as it goes over the wire, CRLF at the end of each line (RFC 5321, 4.2.1).

        Non-ASCII text is sent as UTF-8; control characters can't leave (they become ``?``).
        """
        head = f"{self.status} " if self.status else ""
        lines = [_printable(line) for line in self.text.split("\n")]
        last = lines.pop()
        parts = [f"{self.code}-{head}{line}\r\n" for line in lines]
        return "".join([*parts, f"{self.code} {head}{last}\r\n"]).encode("utf-8", "replace")

    def __str__(self) -> str:
        """One line for logs and DSNs: ``550 5.1.1 no such user``."""
        head = f"{self.code} {self.status} " if self.status else f"{self.code} "
        return head + _printable(self.text.replace("\n", " "))


def _printable(text: str) -> str:
    """Replace what must not reach a protocol or log line."""
    return text if text.isprintable() else "".join(char if char.isprintable() else "?" for char in text)
