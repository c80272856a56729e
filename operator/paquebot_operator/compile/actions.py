"""Actions of a MailService and deliveries of a MailDomain, into the contract's."""

import re

from paquebot_mta.config import actions as contract
from paquebot_operator.api.actions import ClientTls, Delivery, Lmtp, Relay, RelayAuth
from paquebot_operator.compile import names
from paquebot_operator.compile.credentials import check_relay_login
from paquebot_operator.compile.filter_refs import compile_observers
from paquebot_operator.compile.scope import Scope
from paquebot_operator.compile.tenancy import REASON, path_faults

SMTP_PORT = 25
SUBMISSIONS_PORT = 465  # RFC 8314, 7.3
_PLACEHOLDER = re.compile(r"%\{(?:user|domain|extension)\}")
_LMTP = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\s:/\[\]]+):(?P<port>[0-9]{1,5})")


def compile_action(delivery: Delivery, path: str, scope: Scope, *, guest: bool = False) -> contract.Action:
    """Compile one action; what is wrong goes into the scope's report.

    ``guest``: it is for pods of another namespace.
    """
    action = _action(delivery, path, scope)
    for field, reason in path_faults(action, guest=guest) if not scope.objects.local else ():
        scope.report.refuse(REASON, f"{path}.{field}", reason)
    return action


def _action(delivery: Delivery, path: str, scope: Scope) -> contract.Action:
    relay, lmtp, maildir, mbox = delivery.relay, delivery.lmtp, delivery.maildir, delivery.mbox
    return contract.Action(
        relay=_relay(relay, f"{path}.relay", scope) if relay is not None else None,
        lmtp=_lmtp(lmtp, f"{path}.lmtp", scope) if lmtp is not None else None,
        maildir=contract.Maildir(
            path=_file_path(maildir.path, f"{path}.maildir.path", scope),
            junk=maildir.junk,
            ttl_seconds=maildir.ttl_seconds,
        )
        if maildir is not None
        else None,
        mbox=contract.Mbox(path=_file_path(mbox.path, f"{path}.mbox.path", scope), ttl_seconds=mbox.ttl_seconds)
        if mbox is not None
        else None,
        discard=contract.Discard() if delivery.discard is not None else None,
    )


def _relay(relay: Relay, path: str, scope: Scope) -> contract.Relay:
    return contract.Relay(
        filters=compile_observers(relay.filter_refs, f"{path}.filterRefs", scope),
        host=names.host(relay.host, f"{path}.host", scope.report) if relay.host is not None else "",
        port=relay.port or (SUBMISSIONS_PORT if relay.implicit_tls else SMTP_PORT),
        implicit_tls=relay.implicit_tls,
        tls=client_tls(relay.tls, f"{path}.tls", scope),
        auth=_relay_auth(relay.auth, f"{path}.auth", scope) if relay.auth is not None else None,
        helo=names.optional_domain_name(relay.helo, f"{path}.helo", scope.report),
        helo_names=scope.table(relay.helo_names_ref, f"{path}.heloNamesRef", "addrname"),
        source=scope.table(relay.source_ref, f"{path}.sourceRef", "source"),
        mail_from=_mail_from(relay.mail_from, f"{path}.mailFrom", scope),
        backup_mx=names.optional_domain_name(relay.backup_mx, f"{path}.backupMx", scope.report),
        ttl_seconds=relay.ttl_seconds,
    )


def _relay_auth(auth: RelayAuth, path: str, scope: Scope) -> contract.RelayAuth | None:
    name = scope.table(auth.credentials_ref, f"{path}.credentialsRef", "credentials")
    if not name:
        return None
    inline = scope.used_tables[name].inline
    entries = inline.entries if inline is not None else {}
    check_relay_login(entries, auth.label, auth.credentials_ref.name, path, scope.report)
    return contract.RelayAuth(credentials=name, label=auth.label)


def client_tls(tls: ClientTls, path: str, scope: Scope) -> contract.ClientTls:
    """Compile a TLS policy; certificates that it names go into the scope."""
    ref = tls.client_certificate_ref
    return contract.ClientTls(
        policy=tls.policy,
        ca=scope.bundle(tls.ca_ref, f"{path}.caRef"),
        client_certificate=scope.pair(ref, f"{path}.clientCertificateRef") if ref is not None else "",
    )


def _mail_from(text: str | None, path: str, scope: Scope) -> str:
    if text is None:
        return ""
    if text.startswith("@"):
        return f"@{names.domain_name(text[1:], path, scope.report)}"
    return names.address(text, path, scope.report)


def _lmtp(lmtp: Lmtp, path: str, scope: Scope) -> contract.Lmtp:
    return contract.Lmtp(
        destination=_lmtp_destination(lmtp.destination, f"{path}.destination", scope),
        recipient=lmtp.recipient,
        tls=client_tls(lmtp.tls, f"{path}.tls", scope),
        ttl_seconds=lmtp.ttl_seconds,
    )


def _lmtp_destination(text: str, path: str, scope: Scope) -> str:
    if text.startswith("unix:/") and ".." not in text.split("/"):
        return text
    found = _LMTP.fullmatch(text)
    if found is None or not 1 <= int(found["port"]) <= 65_535:
        scope.report.refuse(names.INVALID, path, "write host:port, [IPv6 address]:port or unix:/path")
        return ""
    return f"{names.host(found['host'], path, scope.report)}:{found['port']}"


def _file_path(text: str, path: str, scope: Scope) -> str:
    rest = _PLACEHOLDER.sub("", text)
    if "%" in rest:
        scope.report.refuse(names.INVALID, path, "only %{user}, %{domain} and %{extension} are replaced")
    elif ".." in text.split("/") or text.endswith("/"):
        scope.report.refuse(names.INVALID, path, "must not lead upwards or end in a slash")
    elif "%{user}" not in text and "%{domain}" not in text:
        scope.report.warn(
            "Accepted", "SharedMailbox", path, "has neither %{user} nor %{domain}: one place for all mail"
        )
    return text
