"""The pods' ServiceAccount: a name for policies, never a token."""

from paquebot_operator.api.mailservice import MailService
from paquebot_operator.desired.metadata import Manifest, metadata
from paquebot_operator.desired.names import workload_name


def service_account(service: MailService) -> Manifest:
    """The ServiceAccount."""
    annotations = service.spec.pods.service_account_annotations
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": metadata(service, workload_name(service.metadata.name), annotations=annotations),
        "automountServiceAccountToken": False,
    }
