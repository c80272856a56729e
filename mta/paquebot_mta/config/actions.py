"""What is done with a recipient. Exactly one kind a name; the queue stores the name only."""

from typing import Literal

from paquebot_mta.config.base import Value


class ClientTls(Value, frozen=True, kw_only=True):
    """TLS towards a next hop.

    Attributes:
        policy: ``None`` never; ``Opportunistic`` if offered, without verification, else plain text; ``Required`` or
            deferred; ``Verified`` or deferred, by name against ``ca``: the next hop's name as configured or
            as its MX record gives it, its address if it has none.
        ca: name of a certificate bundle; empty for the system's.
        client_certificate: name of our certificate, empty for none.
    """

    policy: Literal["None", "Opportunistic", "Required", "Verified"] = "Opportunistic"
    ca: str = ""
    client_certificate: str = ""


class RelayAuth(Value, frozen=True, kw_only=True):
    """AUTH towards a smarthost: ``label`` is the key in the table ``credentials`` (value ``user:password``)."""

    credentials: str
    label: str


class Relay(Value, frozen=True, kw_only=True):
    """Send by SMTP: to the smarthost if ``host`` is given, else by MX lookup.

    Attributes:
        host: name or address of the smarthost; ``[address]`` and names without MX lookup.
        port: its port; for MX lookup 25.
        implicit_tls: TLS from the first byte (465).
        helo: name to give in EHLO; empty for the service's. ``helo_names``: table source address -> name.
        source: table of source addresses.
        mail_from: sender override (``@domain`` or ``user@domain``), never for a null reverse-path.
        srs: rewrite the reverse-path of forwarded mail.
        backup_mx: our name among the MX records; only better ones are used.
        filters: observers of the smtp-out reports.
        ttl_seconds: own time to live in the queue.
    """

    host: str = ""
    port: int = 25
    implicit_tls: bool = False
    tls: ClientTls = ClientTls()
    auth: RelayAuth | None = None
    helo: str = ""
    helo_names: str = ""
    source: str = ""
    mail_from: str = ""
    srs: bool = False
    backup_mx: str = ""
    filters: tuple[str, ...] = ()
    ttl_seconds: int | None = None


class Lmtp(Value, frozen=True, kw_only=True):
    """Hand over by LMTP (RFC 2033): ``host:port`` (port mandatory) or ``unix:/path``.

    Attributes:
        recipient: what RCPT names: the mailbox user, or the destination address.
    """

    destination: str
    recipient: Literal["User", "Address"] = "Address"
    tls: ClientTls = ClientTls(policy="None")
    ttl_seconds: int | None = None


class Maildir(Value, frozen=True, kw_only=True):
    """Deliver into maildirs.

    Attributes:
        path: root of a user's maildir; ``%{user}``, ``%{domain}`` and ``%{extension}`` are replaced by checked path
            parts.
        junk: mail marked ``X-Spam: yes`` goes to the folder ``.Junk``.
    """

    path: str
    junk: bool = False
    ttl_seconds: int | None = None


class Mbox(Value, frozen=True, kw_only=True):
    """Append to an mbox file (RFC 4155, "mboxrd" quoting); ``path`` as for Maildir."""

    path: str
    ttl_seconds: int | None = None


class Discard(Value, frozen=True, kw_only=True):
    """Accept and drop, with a log line."""


class Action(Value, frozen=True, kw_only=True):
    """Exactly one field is set."""

    relay: Relay | None = None
    lmtp: Lmtp | None = None
    maildir: Maildir | None = None
    mbox: Mbox | None = None
    discard: Discard | None = None
