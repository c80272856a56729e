"""What a trial applies: a domain whose mail comes to a sink and, where there is none, a small service to carry it."""

from typing import Any, Final

from paquebot_operator.api.common import API_VERSION

LISTENER: Final = "mx"
LISTENER_PORT: Final = 2525


def trial_service(namespace: str, name: str) -> dict[str, Any]:
    """A MailService of one pod without a volume, reached within the cluster only."""
    return {
        "apiVersion": API_VERSION,
        "kind": "MailService",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "hostname": "mx.paquebot-test.invalid",
            "replicas": 1,
            "pods": {"terminationGracePeriodSeconds": 5},
            "queue": {"backend": "Memory"},
            "dnsCheck": {"mode": "Disabled"},
            "monitoring": {"podMonitor": "Disabled", "prometheusRule": "Disabled"},
            "listeners": [{"name": LISTENER, "port": LISTENER_PORT, "role": "MX", "service": {"type": "ClusterIP"}}],
            "rules": [{"name": "hosted", "match": {"from": {"any": {}}, "for": {"hosted": {}}}, "deliver": {}}],
        },
    }


def trial_domain(namespace: str, name: str, *, service: str, domain: str, sink: str) -> dict[str, Any]:
    """A MailDomain that hands all its mail to ``sink``, host:port."""
    return {
        "apiVersion": API_VERSION,
        "kind": "MailDomain",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "serviceRef": {"name": service},
            "domain": domain,
            "delivery": {"lmtp": {"destination": sink}},
            "acceptAnyMailbox": True,
        },
    }
