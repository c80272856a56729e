"""Greylists that a retry may miss: who comes again must meet somebody who remembers the first time."""

from paquebot_mta.config.filters import Greylist
from paquebot_mta.config.service import ServiceShard
from paquebot_operator.api.mailservice import MailService
from paquebot_operator.compile.scope import Scope


def warn_of_greylists(service: MailService, shard: ServiceShard, scope: Scope) -> None:
    """Warn of stores that not all processes of the service share; they work, but strangers wait longer."""
    if scope.objects.local:
        return
    scaling = service.spec.autoscaling
    pods = scaling.max_replicas if scaling is not None else service.spec.replicas
    for name, each in shard.filters.items():
        if isinstance(each.kind, Greylist) and (why := _unshared(each.kind.store, pods, service)):
            message = f"MailFilter {name}: {why}, so strangers have to come again to each: set store to redis://HOST"
            scope.report.warn("Accepted", "GreylistNotShared", "spec", message)


def _unshared(store: str, pods: int, service: MailService) -> str:
    processes = pods * service.spec.pods.workers
    if store == "memory" and processes > 1:
        return f"each of {processes} processes has a memory of its own"
    of_volume = store == "volume" or store.startswith("sqlite:")
    if of_volume and pods > 1 and service.spec.queue.storage.mode == "PerPod":
        return f"each of {pods} pods has a volume of its own"
    return ""
