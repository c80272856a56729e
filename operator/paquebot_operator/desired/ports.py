"""Ports of the pods and of the Services before them."""

from paquebot_operator.api.listeners import Listener
from paquebot_operator.api.mailservice import MailService

ADMIN_PORT = 9025
PRIVILEGED_PORTS = 1_024
_HIGHEST_PORT = 65_535


def tcp_listeners(service: MailService) -> tuple[Listener, ...]:
    """Listeners that have a port, in order."""
    return tuple(listener for listener in service.spec.listeners if listener.port is not None)


def listener_ports(service: MailService) -> tuple[int, ...]:
    """Ports that the pods listen on, each once, sorted."""
    return tuple(sorted({listener.port for listener in service.spec.listeners if listener.port is not None}))


def admin_port(service: MailService) -> int:
    """Where ``/config``, health and metrics of a pod are: 9025, or the next port that no listener has."""
    taken = listener_ports(service)
    return next(port for port in range(ADMIN_PORT, _HIGHEST_PORT) if port not in taken)


def service_port(listener: Listener) -> int:
    """Port of a listener's Service, by role where it isn't given (RFC 5321, 4.5.4.2; RFC 6409; RFC 8314; RFC 2033)."""
    if listener.service.port is not None:
        return listener.service.port
    if listener.role == "Submission":
        return 465 if listener.tls.mode == "Implicit" else 587
    return 24 if listener.role == "LMTP" else 25
