"""A filter that hears and is asked everything, and notes each line; run under OpenSMTPD and under Paquebot alike.

It proceeds, and gives content back as it came, but: `refused@` is refused, `moved@` becomes `kept@`, HELO `bad.test`
ends the session, and a message with a line `refuse me` is refused at its end.
"""

import sys

PHASES = (
    "connect", "helo", "ehlo", "starttls", "auth", "mail-from", "rcpt-to", "data", "data-line", "commit", "rset",
    "noop", "quit",
)  # fmt: skip


def say(line: str) -> None:
    """Answer."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def decide(phase: str, parameter: str, *, refuse: bool) -> str:
    """Give the response to a phase."""
    if phase == "rcpt-to" and parameter.startswith("refused@"):
        return "reject|550 5.7.1 refused by the probe"
    if phase == "rcpt-to" and parameter.startswith("moved@"):
        return f"rewrite|<kept@{parameter.partition('@')[2]}>"
    if phase in {"helo", "ehlo"} and parameter == "bad.test":
        return "disconnect|550 5.7.1 bye"
    return "reject|554 5.7.1 refused content" if phase == "commit" and refuse else "proceed"


def main() -> None:
    """Note, register, answer."""
    bad: set[str] = set()
    with open(sys.argv[1], "a", buffering=1, encoding="latin-1") as log:
        sys.stdin.reconfigure(encoding="latin-1")  # type: ignore[union-attr]
        sys.stdout.reconfigure(encoding="latin-1")  # type: ignore[union-attr]
        for raw in sys.stdin:
            line = raw.rstrip("\n")
            log.write(line + "\n")
            fields = line.split("|", 7)
            if line == "config|ready":
                say("register|report|smtp-in|*")
                for phase in PHASES:
                    say(f"register|filter|smtp-in|{phase}")
                say("register|ready")
            elif fields[0] == "filter" and fields[4] == "data-line":
                if fields[7] == "refuse me":
                    bad.add(fields[5])
                say(f"filter-dataline|{fields[5]}|{fields[6]}|{fields[7]}")
            elif fields[0] == "filter":
                decision = decide(fields[4], fields[7], refuse=fields[5] in bad)
                bad.discard(fields[5] if fields[4] == "commit" else "")
                say(f"filter-result|{fields[5]}|{fields[6]}|{decision}")


main()
