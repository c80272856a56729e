"""Listeners of a MailService, into the contract's."""

from paquebot_mta.config import listeners as contract
from paquebot_operator.api.listeners import Listener, ProxyProtocol, ServerAuth, ServerTls
from paquebot_operator.compile import names
from paquebot_operator.compile.certificates import check_hostname
from paquebot_operator.compile.credentials import check_hashes
from paquebot_operator.compile.filter_refs import compile_refs
from paquebot_operator.compile.scope import Scope


def compile_listeners(listeners: tuple[Listener, ...], hostname: str, scope: Scope) -> tuple[contract.Listener, ...]:
    """Compile all listeners, in order; ``hostname`` is the service's."""
    compiled: list[contract.Listener] = []
    for place, listener in enumerate(listeners):
        path = f"spec.listeners[{place}]"
        one = _listener(listener, hostname, path, scope)
        if any((one.address, one.port) == (other.address, other.port) for other in compiled):
            scope.report.refuse("ListenerConflict", path, "another listener has this address and port")
        compiled.append(one)
    return tuple(compiled)


def _listener(listener: Listener, hostname: str, path: str, scope: Scope) -> contract.Listener:
    banner = names.optional_domain_name(listener.hostname, f"{path}.hostname", scope.report)
    return contract.Listener(
        name=listener.name,
        address=_address(listener.address, f"{path}.address", scope),
        port=listener.port or 0,
        role=listener.role,
        tls=_tls(listener.tls, banner or hostname, f"{path}.tls", scope),
        auth=_auth(listener.auth, f"{path}.auth", scope),
        hostname=banner,
        hostnames=scope.table(listener.hostnames_ref, f"{path}.hostnamesRef", "addrname"),
        proxy_protocol=_proxies(listener.proxy_protocol, f"{path}.proxyProtocol", scope),
        tag=listener.tag,
        mask_source=listener.mask_source,
        received_auth=listener.received_auth,
        dsn=listener.dsn,
        filters=compile_refs(listener.filter_refs, f"{path}.filterRefs", scope),
    )


def _proxies(proxy: ProxyProtocol | None, path: str, scope: Scope) -> contract.ProxyProtocol | None:
    if proxy is None:
        return None
    places = enumerate(proxy.trusted)
    return contract.ProxyProtocol(
        trusted=tuple(names.network(each, f"{path}.trusted[{place}]", scope.report) for place, each in places)
    )


def _address(text: str, path: str, scope: Scope) -> str:
    if not text.startswith("unix:"):
        return names.ip_address(text, path, scope.report)
    if not text.startswith("unix:/") or ".." in text.split("/"):
        scope.report.refuse(names.INVALID, path, "unix: wants an absolute path that does not lead upwards")
    return text


def _tls(tls: ServerTls, hostname: str, path: str, scope: Scope) -> contract.ServerTls:
    refs = [(ref, f"{path}.certificateRefs[{place}]") for place, ref in enumerate(tls.certificate_refs)]
    found = tuple(name for ref, where in refs if (name := scope.pair(ref, where)))
    pairs = [scope.used_certificates[name] for name in found]
    if hostname:
        check_hostname(pairs, hostname, f"{path}.certificateRefs", scope.report)
    return contract.ServerTls(
        mode="Off" if tls.mode == "Disabled" else tls.mode,
        required=tls.required,
        certificates=found,
        minimum_version=tls.minimum_version,
        ciphers=tls.ciphers,
        verify_client=tls.verify_client,
        client_ca=scope.bundle(tls.client_ca_ref, f"{path}.clientCaRef"),
    )


def _auth(auth: ServerAuth, path: str, scope: Scope) -> contract.ServerAuth:
    name = scope.table(auth.credentials_ref, f"{path}.credentialsRef", "credentials")
    if name and auth.credentials_ref is not None:
        inline = scope.used_tables[name].inline
        entries = dict.fromkeys(inline.keys, "") | inline.entries if inline is not None else {}
        check_hashes(entries, auth.credentials_ref.name, f"{path}.credentialsRef", scope.report)
    return contract.ServerAuth(
        mode="Off" if auth.mode == "Disabled" else auth.mode,
        credentials=name,
        senders=scope.table(auth.senders_ref, f"{path}.sendersRef", "mailaddrmap"),
        masquerade=auth.masquerade,
    )
