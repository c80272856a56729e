"""``paquebot apply``: server-side apply of Paquebot's own kinds, until the API server knows them."""

import asyncio
from pathlib import Path
from time import monotonic

import click

from paquebot_operator.cluster import login
from paquebot_operator.cluster.api import Api
from paquebot_operator.cluster.errors import ClusterError
from paquebot_operator.cluster.resources import OWN_GROUP, Json, Place, place_of, resource_of
from paquebot_operator.release.connection import Say, connected, failure, insist, read_manifests


@click.command("apply")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--owner", metavar="KIND/NAME", default="", help="Object of the same namespace that they go with.")
@click.option("--timeout", "timeout_seconds", type=click.FloatRange(1), default=60.0, show_default=True)
@login.option
def command(file: Path, owner: str, timeout_seconds: float, kubeconfig: Path | None) -> None:
    """Apply the MailServices, MailDomains, Tables and MailFilters in FILE to a cluster.

    Waits until the cluster knows these kinds. With --owner they are deleted by Kubernetes when that object is.

    Example: paquebot apply mailservice.yaml --owner ConfigMap/paquebot-default-service
    """
    manifests = read_manifests(file)
    for each in manifests:
        if not str(each.get("apiVersion")).startswith(f"{OWN_GROUP}/"):
            raise click.ClickException(f"{file}: {each.get('kind')} is no kind of {OWN_GROUP}")

    async def run() -> None:
        async with connected(kubeconfig) as cluster:
            await apply_all(cluster, manifests, owner=owner, until=monotonic() + timeout_seconds, say=click.echo)

    asyncio.run(run())


async def apply_all(api: Api, manifests: tuple[Json, ...], *, owner: str, until: float, say: Say) -> None:
    """Apply manifests one after the other; raises click.ClickException."""
    for manifest in manifests:
        name = f"{manifest['kind']} {manifest['metadata']['name']}"
        try:
            owned = await _with_owner(api, manifest, owner, until) if owner else manifest
            await insist(lambda owned=owned: api.apply(owned), until=until)  # type: ignore[misc]
        except ClusterError as error:
            raise failure(error, name) from None
        say(f"{name} applied")


async def _with_owner(api: Api, manifest: Json, owner: str, until: float) -> Json:
    kind, _, name = owner.partition("/")
    place = Place(place_of(manifest).namespace, name)
    found = await insist(lambda: api.get(resource_of({"apiVersion": "v1", "kind": kind}), place), until=until)
    reference = {"apiVersion": "v1", "kind": kind, "name": name, "uid": found["metadata"]["uid"]}
    return manifest | {"metadata": manifest["metadata"] | {"ownerReferences": [reference]}}
