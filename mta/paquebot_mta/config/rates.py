"""How often one client or user may do something."""

from paquebot_mta.config.base import Value


class Rates(Value, frozen=True, kw_only=True):
    """Counts in a time, by client address (an IPv6 client is its /64) and by authenticated user; 0 is no limit.

    Each worker counts what it sees, so a service allows as many times that as it has workers.

    Attributes:
        sessions_per_minute, messages_per_minute, recipients_per_minute, auths_per_minute: of a client.
        handshakes_per_minute: TLS handshakes of a client.
        auth_failures_per_minute: of a client, over all its sessions; then it is answered 421 for a while.
        user_messages_per_hour, user_recipients_per_hour: of an authenticated user.
    """

    sessions_per_minute: int = 0
    messages_per_minute: int = 0
    recipients_per_minute: int = 0
    auths_per_minute: int = 0
    handshakes_per_minute: int = 0
    auth_failures_per_minute: int = 20
    user_messages_per_hour: int = 0
    user_recipients_per_hour: int = 0
