"""What the local delivery tests share: surroundings with fixed time and randomness, and one-line deliveries."""

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from paquebot_mta.config.actions import Maildir, Mbox
from paquebot_mta.config.service import OutboundLimits
from paquebot_mta.deliver.local import LocalSlots, LocalSurroundings
from paquebot_mta.deliver.maildir import MaildirTransport
from paquebot_mta.deliver.mbox import MboxTransport
from paquebot_mta.mail.envelope import Envelope
from paquebot_mta.mail.ids import Evpid

NOW = 1_790_000_000.0


@contextmanager
def surroundings() -> Iterator[LocalSurroundings]:
    """Give threads, and a clock that stands."""
    with ThreadPoolExecutor(4) as executor:
        yield LocalSurroundings(executor, "mx:1.test", lambda: NOW, random.Random(1).getrandbits)


def maildir_transport(around: LocalSurroundings, path: str, *, junk: bool = False) -> MaildirTransport:
    """Make a transport with slots of its own."""
    return MaildirTransport(Maildir(path=path, junk=junk), LocalSlots(OutboundLimits()), around)


def mbox_transport(around: LocalSurroundings, path: str) -> MboxTransport:
    """Make a transport with slots of its own."""
    return MboxTransport(Mbox(path=path), LocalSlots(OutboundLimits()), around)


def mailbox(user: str = "alice", extension: str = "", number: int = 1, destination: str = "") -> Envelope:
    """Make an envelope for a mailbox of example.test."""
    address = destination or f"{user}@example.test"
    return Envelope(Evpid(f"0badcafe{number:08x}"), address, address, "domain:example.test", user, extension)


def new_files(maildir: Path) -> list[Path]:
    """List what was delivered, and check that nothing is left in tmp."""
    assert list((maildir / "tmp").iterdir()) == []
    return sorted((maildir / "new").iterdir())


def anything_under(path: Path) -> list[Path]:
    """List all files and folders."""
    return sorted(path.rglob("*"))
