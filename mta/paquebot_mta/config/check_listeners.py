"""Checks of listeners."""

import ipaddress
from collections import Counter

from paquebot_mta.config.check_tables import Names, network_fault
from paquebot_mta.config.listeners import Listener, ServerAuth, ServerTls


def check_listeners(listeners: tuple[Listener, ...], names: Names) -> None:
    """Check each listener, and that no two share a name or a place."""
    path = "service.listeners"
    called = Counter(listener.name for listener in listeners)
    placed = Counter((listener.address, listener.port) for listener in listeners if listener.port)
    for place, listener in enumerate(listeners):
        where = f"{path}[{place}]"
        unique = bool(listener.name) and called[listener.name] == 1
        names.faults.check(that=unique, path=f"{where}.name", reason="empty, or another listener has this name")
        alone = placed[listener.address, listener.port] <= 1
        names.faults.check(that=alone, path=f"{where}.port", reason="another listener has this address and port")
        _check_listener(listener, where, names)


def _check_listener(listener: Listener, path: str, names: Names) -> None:
    _check_place(listener, path, names)
    _check_tls(listener.tls, f"{path}.tls", names)
    _check_auth(listener.auth, listener.tls, f"{path}.auth", names)
    names.table(listener.hostnames, f"{path}.hostnames", "addrname")
    names.filters(listener.filters, f"{path}.filters")
    if listener.proxy_protocol is not None:
        _check_proxies(listener, listener.proxy_protocol.trusted, f"{path}.proxyProtocol", names)


def _check_proxies(listener: Listener, trusted: tuple[str, ...], path: str, names: Names) -> None:
    """A header is believed from networks only: nobody is trusted by default, and sockets in files have no address."""
    names.faults.check(that=bool(trusted), path=f"{path}.trusted", reason="nobody is trusted")
    on_tcp = not listener.address.startswith("unix:")
    names.faults.check(that=on_tcp, path=path, reason="a unix socket has no clients behind a proxy")
    for place, network in enumerate(trusted):
        where = f"{path}.trusted[{place}]"
        names.faults.add_if(where, network_fault(network))


def _check_place(listener: Listener, path: str, names: Names) -> None:
    if listener.address.startswith("unix:"):
        absolute = listener.address.startswith("unix:/") and "\0" not in listener.address
        names.faults.check(that=absolute, path=f"{path}.address", reason="unix: wants an absolute path")
        names.faults.check(that=listener.port == 0, path=f"{path}.port", reason="a unix socket has no port")
        return
    names.faults.check(that=0 <= listener.port <= 65_535, path=f"{path}.port", reason="not a port")
    names.faults.check(
        that=_is_address(listener.address), path=f"{path}.address", reason="neither IP address nor unix:"
    )


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _check_tls(tls: ServerTls, path: str, names: Names) -> None:
    for place, name in enumerate(tls.certificates):
        names.certificate(name, f"{path}.certificates[{place}]", with_key=True)
    names.certificate(tls.client_ca, f"{path}.clientCa")
    if tls.mode == "Off":
        names.faults.check(that=not tls.required, path=f"{path}.required", reason="TLS is required but off")
    else:
        names.faults.check(that=bool(tls.certificates), path=f"{path}.certificates", reason="TLS needs a certificate")
    known = tls.verify_client == "Never" or bool(tls.client_ca)
    names.faults.check(that=known, path=f"{path}.clientCa", reason="client certificates can't be verified without it")


def _check_auth(auth: ServerAuth, tls: ServerTls, path: str, names: Names) -> None:
    names.table(auth.credentials, f"{path}.credentials", "credentials", "auth")
    names.table(auth.senders, f"{path}.senders")
    if auth.mode == "Off":
        return
    names.faults.check(that=bool(auth.credentials), path=f"{path}.credentials", reason="AUTH needs a table")
    names.faults.check(
        that=tls.mode != "Off", path=f"{path}.mode", reason="AUTH is offered over TLS only, and TLS is off"
    )
