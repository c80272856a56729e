"""``paquebot queue``: what the queue is encrypted by."""

from collections.abc import Iterable

import click

from paquebot_mta.admin.asking import Workers, with_json, with_workers
from paquebot_mta.admin.client import Worker
from paquebot_mta.admin.controls import KeyEntry
from paquebot_mta.admin.output import moment, print_json, print_table

KEY_COLUMNS = ("key", "created", "state", "segments", "locked")


@click.group()
def queue() -> None:
    """Look after the queue's storage.

    \b
    Example:
        paquebot queue keys
    """


@queue.command()
@with_json
@with_workers
def keys(workers: Workers, form: str | None) -> None:
    """List the keys that the queue is encrypted by, newest first, and how many of its files need each.

    A key may be taken from the key ring when nothing needs it any more, in any pod. Locked files wait for a key that is
    missing or not the one it was; their mail is neither delivered nor returned until it is there.

    \b
    Example:
        paquebot queue keys
    """
    found = merged(keys for _, keys in workers.each(_keys))
    if form:
        print_json(found, lines=form == "jsonl")
    else:
        print_table(KEY_COLUMNS, map(_row, found), if_empty="nothing is encrypted, and there is no mail")


def _keys(worker: Worker) -> list[KeyEntry]:
    return worker.get("/keys", list[KeyEntry])


def merged(answers: Iterable[Iterable[KeyEntry]]) -> list[KeyEntry]:
    """Add up what workers serve; of what is locked all see the same."""
    known: dict[int, KeyEntry] = {}
    for key in (key for keys in answers for key in keys):
        before = known.get(key.kid, KeyEntry(kid=key.kid))
        known[key.kid] = KeyEntry(
            kid=key.kid,
            created_at=before.created_at if key.created_at is None else key.created_at,
            writes=before.writes or key.writes,
            segments=before.segments + key.segments,
            locked=max(before.locked, key.locked),
        )
    return sorted(known.values(), key=lambda key: (key.created_at or 0.0, key.kid), reverse=True)


def _row(key: KeyEntry) -> tuple[str, ...]:
    if not key.kid:
        return ("none", "-", "not encrypted", str(key.segments), "-")
    state = "missing" if key.created_at is None else "writes" if key.writes else "reads"
    created = "-" if key.created_at is None else moment(key.created_at)
    return (str(key.kid), created, state, str(key.segments), str(key.locked) if key.locked else "-")


def tell_locked(workers: Workers) -> None:
    """Say on stderr what a list of the queue can't show: mail that no key opens."""
    for key in merged(keys for _, keys in workers.each(_keys)):
        if key.locked:
            files = "1 file" if key.locked == 1 else f"{key.locked} files"
            click.echo(
                f"not shown: the mail in {files} of the queue that need key {key.kid}, which is missing", err=True
            )
