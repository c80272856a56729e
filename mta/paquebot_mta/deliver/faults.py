"""Why an outbound session can't go on: exceptions within this package only, each with the reply that defers a task."""

from typing import Literal

from paquebot_mta.mail.reply import Reply
from paquebot_mta.telemetry.events import Notice

Cause = Literal["connect", "timeout", "eof", "protocol", "tls", "refused", "policy", "source", "shutdown", "internal"]

LOST_AFTER_DOT = Reply(451, "Connection lost after the end of data: the message may have been delivered", "4.4.2")
NOT_OURS = Reply(451, "The queue changed hands, or can't be written: this is delivered later", "4.3.2")
UNREADABLE = Reply(451, "Content can't be read", "4.3.0")
NO_SOURCE = Reply(451, "No source address can be used for the next hop", "4.4.1")
NO_HELO = Reply(451, "No HELO name is known for the source address", "4.3.5")
INTERNAL = Reply(451, "Internal error in delivery", "4.3.0")
BAD_CONTENT = Reply(554, "Message has a bare CR or LF and can't be sent", "5.6.0")
CLOSED = Reply(451, "Connection closed by the next hop", "4.4.2")
SHUTTING_DOWN = Reply(451, "Delivery is shutting down", "4.3.2")
TOO_MANY_ERRORS = Reply(451, "Too many consecutive errors, closing connection", "4.5.3")


class SessionFaultError(Exception):
    """The session is over. ``reply`` is 4yz: whatever a peer does to a connection, mail is tried again."""

    def __init__(self, cause: Cause, reply: Reply, relay: str = "") -> None:
        """Keep the cause and the reply for the tasks that wait; ``relay`` is with whom, as receipts spell it."""
        super().__init__(str(reply))
        self.cause = cause
        self.reply = reply
        self.relay = relay

    @property
    def reached(self) -> bool:
        """Whether the relay took the connection, and so had its part in the fault."""
        return bool(self.relay) and self.cause not in {"connect", "source"}


class TlsFaultError(SessionFaultError):
    """A handshake failed: with an opportunistic policy, the same next hop is tried again without TLS."""

    def __init__(self, text: str) -> None:
        """Keep what went wrong."""
        super().__init__("tls", Reply(451, f"TLS handshake failed: {text}", "4.7.5"))


class StaleSessionError(Exception):
    """A kept connection was closed by the peer before it answered MAIL: nothing happened, try a new one."""


def fault_notice(part: Literal["relay", "local"], error: Exception) -> Notice:
    """Tell of a fault of ours: the task is deferred, and someone must look at it."""
    details: dict[str, str | int | float | bool] = {"part": f"deliver.{part}", "error": type(error).__name__}
    return Notice(level="error", event="service.fault", details=details)
