"""A filter program that subscribes to every event and is asked in every phase; it lets everything pass."""

import sys

EVENTS = "*"
PHASES = (
    "connect",
    "helo",
    "ehlo",
    "starttls",
    "auth",
    "mail-from",
    "rcpt-to",
    "data",
    "commit",
    "rset",
    "quit",
    "noop",
)


def main() -> None:
    """Speak OpenSMTPD's filter protocol on standard input and output until that ends."""
    lines, say = sys.stdin.buffer, sys.stdout.buffer
    for line in lines:
        if line == b"config|ready\n":
            break
    registered = [f"register|report|smtp-in|{EVENTS}", *(f"register|filter|smtp-in|{phase}" for phase in PHASES)]
    say.write(("\n".join([*registered, "register|ready"]) + "\n").encode())
    say.flush()
    for line in lines:
        if line.startswith(b"filter|"):
            _, _, _, _, _, session, token, _ = line.split(b"|", 7)
            say.write(b"filter-result|%s|%s|proceed\n" % (session, token))
            say.flush()


if __name__ == "__main__":
    main()
