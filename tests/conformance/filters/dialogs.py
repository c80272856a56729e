"""What clients say to OpenSMTPD and to Paquebot alike."""

import base64

from tests.support.paquebot_config import ALICE, PASSWORD

CONTENT = "Subject: a|b\r\n\r\n..one\r\n...two\r\n\r\nlast\r\n."
Step = tuple[str, str]
"""What the client says, and how the last line of the reply begins; `TLS` and `CLOSE` are done."""
DIALOGS: dict[str, tuple[Step, ...]] = {
    "one message": (
        ("EHLO client.test", "250"), ("MAIL FROM:<a@else.test>", "250"), ("RCPT TO:<b@far.test>", "250"),
        ("DATA", "354"), (CONTENT, "250"), ("QUIT", "221"),
    ),
    "null reverse-path, two recipients, two messages": (
        ("HELO client.test", "250"), ("MAIL FROM:<>", "250"), ("RCPT TO:<b@far.test>", "250"),
        ("RCPT TO:<c@far.test>", "250"), ("DATA", "354"), (CONTENT, "250"), ("MAIL FROM:<a@else.test>", "250"),
        ("RCPT TO:<b@far.test>", "250"), ("DATA", "354"), (CONTENT, "250"), ("QUIT", "221"),
    ),
    "refused recipient, then reset": (
        ("EHLO client.test", "250"), ("MAIL FROM:<a@else.test>", "250"), ("RCPT TO:<refused@far.test>", "550"),
        ("RCPT TO:<b@far.test>", "250"), ("NOOP", "250"), ("RSET", "250"), ("QUIT", "221"),
    ),
    "rewritten recipient": (
        ("EHLO client.test", "250"), ("MAIL FROM:<a@else.test>", "250"), ("RCPT TO:<moved@far.test>", "250"),
        ("DATA", "354"), (CONTENT, "250"), ("QUIT", "221"),
    ),
    "refused content": (
        ("EHLO client.test", "250"), ("MAIL FROM:<a@else.test>", "250"), ("RCPT TO:<b@far.test>", "250"),
        ("DATA", "354"), ("Subject: x\r\n\r\nrefuse me\r\n.", "554"), ("QUIT", "221"),
    ),
    "disconnected": (("EHLO bad.test", "550"),),
    "quit within a transaction": (
        ("EHLO client.test", "250"), ("MAIL FROM:<a@else.test>", "250"), ("RCPT TO:<b@far.test>", "250"),
        ("QUIT", "221"),
    ),
    "gone within a transaction": (
        ("EHLO client.test", "250"), ("MAIL FROM:<a@else.test>", "250"), ("RCPT TO:<b@far.test>", "250"), ("CLOSE", ""),
    ),
    "gone within content": (
        ("EHLO client.test", "250"), ("MAIL FROM:<a@else.test>", "250"), ("RCPT TO:<b@far.test>", "250"),
        ("DATA", "354"), ("Subject: half\r\n", ""), ("CLOSE", ""),
    ),
    "errors": (
        ("MAIL FROM:<a@else.test>", "5"), ("EHLO client.test", "250"), ("RCPT TO:<b@far.test>", "5"), ("NONSENSE", "5"),
        ("MAIL FROM:a b", "5"), ("QUIT", "221"),
    ),
}  # fmt: skip


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


AUTH = f"AUTH PLAIN {_base64(f'{chr(0)}{ALICE}{chr(0)}{PASSWORD}')}"
WRONG = f"AUTH PLAIN {_base64(f'{chr(0)}{ALICE}{chr(0)}nothing')}"
SECURED: tuple[Step, ...] = (("EHLO client.test", "250"), ("STARTTLS", "220"), ("TLS", ""))
KNOWN: tuple[Step, ...] = (*SECURED, ("EHLO client.test", "250"), (AUTH, "235"))
ONE_MESSAGE: tuple[Step, ...] = (
    (f"MAIL FROM:<{ALICE}>", "250"), ("RCPT TO:<b@far.test>", "250"), ("DATA", "354"), (CONTENT, "250"),
)  # fmt: skip
OVER_TLS = ", over TLS"
ENCRYPTED: dict[str, tuple[Step, ...]] = {
    **{f"{name}{OVER_TLS}": (*SECURED, *dialog) for name, dialog in DIALOGS.items()},
    "STARTTLS after a transaction": (
        ("EHLO client.test", "250"), *ONE_MESSAGE, *SECURED[1:], ("EHLO client.test", "250"), *ONE_MESSAGE,
        ("QUIT", "221"),
    ),
    "STARTTLS twice": (*SECURED, ("EHLO client.test", "250"), ("STARTTLS", "5"), ("QUIT", "221")),
    "gone within the handshake": (*SECURED[:2], ("CLOSE", "")),
    "nothing but TLS": (*SECURED, ("QUIT", "221")),
}  # fmt: skip
"""At a listener where mail is taken without TLS, too."""
AUTHENTICATED: dict[str, tuple[Step, ...]] = {
    "a user's message": (*KNOWN, *ONE_MESSAGE, ("QUIT", "221")),
    "a wrong password, then the right one": (*KNOWN[:-1], (WRONG, "535"), (AUTH, "235"), *ONE_MESSAGE, ("QUIT", "221")),
    "AUTH PLAIN in two lines": (
        *KNOWN[:-1], ("AUTH PLAIN", "334"), (AUTH.rpartition(" ")[2], "235"), ("QUIT", "221"),
    ),
    "AUTH LOGIN": (
        *KNOWN[:-1], ("AUTH LOGIN", "334"), (_base64(ALICE), "334"), (_base64(PASSWORD), "235"), ("QUIT", "221"),
    ),
    "AUTH LOGIN with the name": (
        *KNOWN[:-1], (f"AUTH LOGIN {_base64(ALICE)}", "334"), (_base64(PASSWORD), "235"), ("QUIT", "221"),
    ),
    "AUTH given up": (*KNOWN[:-1], ("AUTH PLAIN", "334"), ("*", "5"), ("QUIT", "221")),
    "AUTH with an unknown mechanism": (*KNOWN[:-1], ("AUTH GSSAPI", "5"), ("QUIT", "221")),
    "AUTH twice": (*KNOWN, (AUTH, "5"), ("QUIT", "221")),
    "AUTH without TLS": (("EHLO client.test", "250"), (AUTH, "5"), ("QUIT", "221")),
}  # fmt: skip
"""At a listener for users."""
