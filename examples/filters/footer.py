#!/usr/bin/env python3
"""A filter of content: it adds a header field and a last line to each message."""

import sys

for line in sys.stdin:
    kind, *fields = line.rstrip("\n").split("|", 7)
    if line == "config|ready\n":
        print("register|filter|smtp-in|data-line", "register|ready", sep="\n", flush=True)
        begun = set()  # sessions within a message
    elif kind == "filter":
        session, token, content = fields[4:]
        head = f"filter-dataline|{session}|{token}|"
        if session not in begun:
            begun.add(session)
            print(head + "X-Footer: yes")
        if content == ".":  # the end; a line that begins with a dot comes with another one before it
            begun.discard(session)
            print(head + "Sent through our own filter")
        print(head + content, flush=True)
