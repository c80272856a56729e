"""Content on its way out: dots stuffed for DATA (RFC 5321, 4.5.2), or line ends as files on this system have them.

Sans-I/O; where the chunks are cut never matters. Content must be clean, every CR followed by LF and every LF led by
CR: a lone one is never sent, because some receivers take it for the end of a line, and of the message.
"""


class BareLineEndError(ValueError):
    """The content has a CR or LF that stands alone; it never can be sent (RFC 5321, 2.3.8)."""


class _Lines:
    """Keeps a CR at the end of a chunk back until the LF comes, and checks that both always come together."""

    def __init__(self) -> None:
        self._held = b""

    def _whole(self, chunk: bytes) -> bytes:
        """Give what can be judged now.

        Raises:
            BareLineEndError: a CR or LF stands alone.
        """
        if self._held:
            chunk, self._held = self._held + chunk, b""
        if chunk.endswith(b"\r"):
            chunk, self._held = chunk[:-1], b"\r"
        pairs = chunk.count(b"\r\n")
        if pairs != chunk.count(b"\n") or pairs != chunk.count(b"\r"):
            raise BareLineEndError("bare CR or LF in the content")
        return chunk

    def _check_end(self) -> None:
        """Make sure that nothing is held back at the end.

        Raises:
            BareLineEndError: the content ends with CR.
        """
        if self._held:
            raise BareLineEndError("the content ends with a bare CR")


class DotStuffer(_Lines):
    """Turns a content into what DATA sends, the final dot included."""

    def __init__(self) -> None:
        """Start at the begin of a line."""
        super().__init__()
        self._line_start = True

    def feed(self, chunk: bytes) -> bytes:
        """Stuff the next chunk.

        Raises:
            BareLineEndError: a CR or LF stands alone.
        """
        chunk = self._whole(chunk)
        if not chunk:
            return b""
        leading = b"." if self._line_start and chunk.startswith(b".") else b""
        self._line_start = chunk.endswith(b"\n")
        return leading + chunk.replace(b"\r\n.", b"\r\n..")

    def end(self) -> bytes:
        """Give what ends the data: a dot on a line of its own; an unfinished last line is finished first.

        Raises:
            BareLineEndError: the content ended with CR.
        """
        self._check_end()
        return b".\r\n" if self._line_start else b"\r\n.\r\n"


class LfLines(_Lines):
    """Turns a content into lines that end with LF, as files in maildirs and mboxes have them."""

    def __init__(self) -> None:
        """Start at the begin of a line."""
        super().__init__()
        self._line_start = True

    def feed(self, chunk: bytes) -> bytes:
        """Convert the next chunk.

        Raises:
            BareLineEndError: a CR or LF stands alone.
        """
        chunk = self._whole(chunk)
        if chunk:
            self._line_start = chunk.endswith(b"\n")
        return chunk.replace(b"\r\n", b"\n")

    def end(self) -> bytes:
        """Give what finishes the last line: nothing if it is finished.

        Raises:
            BareLineEndError: the content ended with CR.
        """
        self._check_end()
        return b"" if self._line_start else b"\n"
