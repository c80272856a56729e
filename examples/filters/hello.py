#!/usr/bin/env python3
"""A filter without any library: it refuses recipients called "nobody", and counts messages."""

import sys

messages = 0


def say(line: str) -> None:
    """Answer."""
    print(line, flush=True)  # flush: an answer that stays in a buffer is no answer


for line in sys.stdin:
    kind, *fields = line.rstrip("\n").split("|")
    if line == "config|ready\n":
        say("register|report|smtp-in|tx-commit")
        say("register|filter|smtp-in|rcpt-to")
        say("register|ready")
    elif kind == "report":  # report|VERSION|TIME|SUBSYSTEM|EVENT|SESSION|PARAMETERS...
        messages += 1
        print(f"{messages} messages so far", file=sys.stderr)  # standard error goes to the log
    elif kind == "filter":  # filter|VERSION|TIME|SUBSYSTEM|PHASE|SESSION|TOKEN|PARAMETER
        session, token, address = fields[4], fields[5], "|".join(fields[6:])
        if address.startswith("nobody@"):
            say(f"filter-result|{session}|{token}|reject|550 5.1.1 Nobody is here")
        else:
            say(f"filter-result|{session}|{token}|proceed")
