"""Senders that go on whatever happens, as other mail servers do, and keep books: the witness of a rollout.

The simplest SMTP by Python's own client; shares nothing with the code under test.
"""

from __future__ import annotations

import smtplib
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Self

from tests.support.load import Witness, body_of, digest

from .release import MX

SENDER = "load@client.example.org"
CONNECTION_MESSAGES = 5
REST_SECONDS = 0.05
REPLY_SECONDS = 20.0


@dataclass
class Traffic:
    """Sessions in parallel to one address, each with its own messages; `witness` is complete after the end.

    Attributes:
        name: what the tokens of its messages begin with.
        outages: how many seconds a sender was without a 250 because it was refused, broken off or not heard.
        troubles: what was said then.
    """

    address: str
    recipient: str
    sessions: int = 4
    name: str = "rollout"
    witness: Witness = field(default_factory=Witness)
    outages: list[float] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)
    _ending: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def flowing(self) -> Iterator[Self]:
        """Send as long as the block runs."""
        senders = [threading.Thread(target=self._send, args=(number,)) for number in range(self.sessions)]
        for sender in senders:
            sender.start()
        try:
            yield self
        finally:
            self._ending.set()
            for sender in senders:
                sender.join()

    @property
    def acked(self) -> int:
        """How many messages were acknowledged so far."""
        return len(self.witness.acked)

    def _send(self, sender: int) -> None:
        tokens = (f"{self.name}-{sender}-{number:06d}x" for number in range(1_000_000))
        trouble_since: float | None = None
        while not self._ending.is_set():
            started = time.monotonic()
            try:
                with smtplib.SMTP(self.address, 25, "client.example.org", timeout=REPLY_SECONDS) as client:
                    client.ehlo_or_helo_if_needed()
                    for _ in range(CONNECTION_MESSAGES):
                        started = time.monotonic()
                        self._message(client, next(tokens), self.recipient)
                        self._over(trouble_since)
                        trouble_since = None
                        self._ending.wait(REST_SECONDS)
            except (OSError, smtplib.SMTPException) as error:
                self.troubles.append(repr(error))
                trouble_since = trouble_since if trouble_since is not None else started
                self._ending.wait(REST_SECONDS)
        self._over(trouble_since)

    def send_to(self, address: str, recipient: str, tokens: Iterable[str], *, seconds: float = REPLY_SECONDS) -> None:
        """Send one message for each token, past the Service if need be; they are in the same books.

        Raises:
            smtplib.SMTPException, OSError: one was not acknowledged within these seconds for each reply.
        """
        with smtplib.SMTP(address, 25 if address == self.address else MX, "client.example.org", timeout=seconds) as one:
            one.ehlo_or_helo_if_needed()
            for token in tokens:
                self._message(one, token, recipient)

    def _over(self, since: float | None) -> None:
        """Note the end of a trouble, if there was one."""
        if since is not None:
            self.outages.append(time.monotonic() - since)

    def _message(self, client: smtplib.SMTP, token: str, recipient: str) -> None:
        """Send one message. Raises `smtplib.SMTPException` or OSError when it was not acknowledged."""
        body = body_of(token, 2_000)
        for code, reply in (client.mail(SENDER), client.rcpt(recipient)):
            if code != 250:
                raise smtplib.SMTPResponseException(code, reply)
        with self._lock:
            self.witness.sent[token] = digest(body)
            self.witness.recipients[token] = recipient
            # From here on it may have been taken, whatever comes.
            self.witness.unknown.add(token)
        code, reply = client.data(b"Subject: %s\r\n\r\n%s" % (token.encode(), body))
        with self._lock:
            self.witness.unknown.discard(token)
            if code == 250:
                self.witness.acked[token] = self.witness.sent[token]
                return
            self.witness.refused.append(f"{code} {reply.decode(errors='replace')}")
        raise smtplib.SMTPResponseException(code, reply)
