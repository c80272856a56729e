"""From the configuration's text to a store."""

from pathlib import Path
from urllib.parse import urlsplit

from paquebot_mta.filter.greylist.store import MemoryStore, Store


def open_store(text: str, folder: Path | None, *, name: str = "", password: str = "") -> Store:
    """Make the store that ``volume``, ``memory``, ``sqlite:PATH`` or ``redis://HOST:PORT/DB`` names; nothing is opened.

    Args:
        folder: where a relative path begins, and files of ``volume`` are; without one that is memory: nothing outlives
            such a process, and it is alone.
        name: of the filter, for its file.
        password: of Redis, if it isn't in the text.

    Raises:
        ValueError: it names none, or one that this installation can't use.
    """
    kind, _, rest = text.partition(":")
    if text == "memory":
        return MemoryStore()
    if text == "volume":
        return MemoryStore() if folder is None else _sqlite(f"greylist-{name.replace('/', '.')}.db", folder)
    if kind == "sqlite" and rest:
        return _sqlite(rest, folder)
    if kind in {"redis", "rediss"} and urlsplit(text).hostname:
        return _redis(text, password)
    raise ValueError("store must be volume, memory, sqlite:PATH or redis://HOST:PORT/DB")


def _sqlite(path: str, folder: Path | None) -> Store:
    from paquebot_mta.filter.greylist.sqlite_store import SqliteStore

    if not Path(path).is_absolute() and folder is None:
        raise ValueError(f"store sqlite:{path}: there is no folder for a path that does not begin with /")
    return SqliteStore((folder or Path("/")) / path)


def _redis(url: str, password: str) -> Store:
    """The library costs memory; only who uses it pays."""
    try:
        from paquebot_mta.filter.greylist.redis_store import RedisStore
    except ImportError as error:
        raise ValueError("store redis: the package redis is not installed") from error
    return RedisStore(url, password=password)
