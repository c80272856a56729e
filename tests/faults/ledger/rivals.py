"""Power losses for other servers: the same load, the same volume, the same books as for Paquebot.

Each takes mail and delivers none while the power goes again and again, so the only copy is in its queue; then all of
it is let go. What its start has made is synced before the load begins: configuration is not the question.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal, Protocol

from bench.usage import processes_of
from paquebot_mta.config.actions import Action, Relay
from tests.faults.ledger.account import Account, account
from tests.faults.ledger.run import settings_of
from tests.faults.ledger.sink import TAKEN, Sink
from tests.faults.pods import MTA, Pod
from tests.faults.volume import Volume
from tests.support.certificates import CertificateAuthority, CertificateFiles
from tests.support.dns_server import DnsServer
from tests.support.exim import Exim, EximSettings
from tests.support.load import Load, Witness, run_load
from tests.support.loop_thread import in_thread
from tests.support.next_hop import Hop
from tests.support.opensmtpd import OpenSmtpd, OpenSmtpdSettings
from tests.support.paquebot_config import FAR
from tests.support.postfix import Postfix
from tests.support.postfix_config import benchmark_settings
from tests.support.processes import LOOPBACK, PeerError, PeerProcess, free_port, run_command, wait_until

Name = Literal["paquebot", "postfix", "exim", "opensmtpd"]
VOLUME_BYTES = 2**30
LENGTHS_BYTES = (300, 4_000, 300_000)
QUIET_SECONDS = 20.0
"""Nothing more arrives after so long without an arrival."""
RELEASES = 3


class Contestant(Protocol):
    """A server whose queue lies on the volume."""

    port: int
    sessions: int

    def start(self) -> None:
        """Start it on its queue; it delivers nothing."""

    def process(self) -> PeerProcess:
        """The process that leads its session."""

    def release(self) -> None:
        """Start delivering all."""


@dataclass(frozen=True)
class Place:
    """Where a contestant lives: ``directory`` on the volume, ``outside`` on a disk that stays; and where mail goes."""

    directory: Path
    outside: Path
    sink_port: int
    resolver_port: int


class _Paquebot:
    sessions = 10

    def __init__(self, place: Place, entry: str = MTA) -> None:
        # A next hop that nobody is: everything is tried once and waits.
        self._settings = settings_of("paquebot.test", place.resolver_port, place.sink_port)
        nowhere = Action(relay=Relay(host=LOOPBACK, port=free_port()))
        held = replace(self._settings, actions={"relay": nowhere}, retry_seconds=86_400)
        self._pod = Pod(place.outside / "paquebot", held, _made(place.directory / "spool"), entry=entry)
        self.port = self._pod.ports.mx

    def start(self) -> None:
        self._pod.restart()

    def process(self) -> PeerProcess:
        return self._pod.process

    def release(self) -> None:
        self._pod.configure(self._settings)
        self._pod.kill()
        self._pod.restart()
        self._pod.cli("schedule", "all").checked()


class _Postfix:
    sessions = 10

    def __init__(self, place: Place) -> None:
        held = benchmark_settings(place.sink_port, smtpd_data_restrictions="check_client_access static:HOLD")
        self._postfix = Postfix(_made(place.directory / "postfix"), free_port(), held)
        self.port = self._postfix.port

    def start(self) -> None:
        self._postfix.restart()

    def process(self) -> PeerProcess:
        return self._postfix.process

    def release(self) -> None:
        self._postfix.release()


class _Exim:
    sessions = 10

    def __init__(self, place: Place) -> None:
        settings = EximSettings(Hop(place.sink_port), _certificate(place.outside), only_queues=True)
        self._exim = Exim(_made(place.directory / "exim"), free_port(), settings)
        self.port = self._exim.port

    def start(self) -> None:
        self._exim.restart()

    def process(self) -> PeerProcess:
        return self._exim.process

    def release(self) -> None:
        self._exim.release()


class _OpenSmtpd:
    sessions = 4  # only 5 connections may wait for it to accept them

    def __init__(self, place: Place) -> None:
        settings = OpenSmtpdSettings(Hop(place.sink_port), _certificate(place.outside), only_queues=True)
        self._opensmtpd = OpenSmtpd(_made(place.directory / "opensmtpd"), free_port(), settings)
        self.port = self._opensmtpd.port

    def start(self) -> None:
        self._opensmtpd.restart(only_queues=True)

    def process(self) -> PeerProcess:
        return self._opensmtpd.process

    def release(self) -> None:
        end(self)
        self._opensmtpd.restart()


CONTESTANTS: Mapping[Name, Callable[[Place], Contestant]] = {
    "paquebot": _Paquebot,
    "postfix": _Postfix,
    "exim": _Exim,
    "opensmtpd": _OpenSmtpd,
}


def lose_power(place: Path, name: Name, cuts: int, seed: int) -> Account:
    """Load a server and cut its power again and again, then balance its books.

    Raises:
        PeerError: it did not come back, or this machine lacks it.
    """
    with _ground(place) as (volume, where, sink):
        contestant = CONTESTANTS[name](where)
        try:
            contestant.process().wait_for_port(contestant.port)
            witness = _cuts(volume, contestant, cuts, random.Random(seed))
            _deliver(contestant, sink, witness)
        finally:
            end(contestant)
        return account(witness, sink.arrivals, (), (), 0)


def _cuts(volume: Volume, contestant: Contestant, cuts: int, chance: random.Random) -> Witness:
    witness = Witness()
    for cut in range(cuts):
        run_command(["sync", "-f", str(volume.path)]).checked()
        load = Load(
            sessions=contestant.sessions,
            messages=2_000,
            length_bytes=chance.choice(LENGTHS_BYTES),
            recipients=(TAKEN,),
            name=f"cut-{cut:03d}",
        )
        seen, in_time, after = Witness(), set[str](), chance.randrange(5, 60)
        then = partial(_cut, volume, contestant, seen, in_time)
        run_load(contestant.port, load, after_acked=after, then=then, witness=seen)
        seen.unknown |= seen.acked.keys() - in_time
        seen.acked = {token: seen.acked[token] for token in in_time}
        witness.join(seen)
        volume.power_on()
        contestant.start()
    return witness


def _cut(volume: Volume, contestant: Contestant, seen: Witness, in_time: set[str]) -> None:
    """Cut the power. Real machines say nothing afterwards, but here they still may: only what was in time counts."""
    in_time.update(seen.acked.copy())
    volume.lose_power()
    end(contestant)


def end(contestant: Contestant) -> None:
    """Kill all processes of its session, those in groups of their own too."""
    leader = contestant.process()
    for each in processes_of(leader.pid):
        run_command(["kill", "-9", str(each.pid)])
    leader.kill()
    wait_until(lambda: not processes_of(leader.pid), "the end of all its processes", 10.0)


def _deliver(contestant: Contestant, sink: Sink, witness: Witness) -> None:
    """Let all go, more than once: a delivery that failed waits for long. Ends when nothing more comes."""
    for _ in range(RELEASES):
        contestant.release()
        arrived = -1
        while sink.missing(witness.acked) and len(sink.arrivals) != arrived:
            arrived = len(sink.arrivals)
            with contextlib.suppress(PeerError):
                wait_until(lambda: not sink.missing(witness.acked), "all mail", QUIET_SECONDS)
        if not sink.missing(witness.acked):
            return


@contextlib.contextmanager
def _ground(place: Path) -> Iterator[tuple[Volume, Place, Sink]]:
    with contextlib.ExitStack() as stack:
        volume = Volume(place, VOLUME_BYTES)
        stack.callback(volume.close)
        volume.path.chmod(0o755)
        sink = stack.enter_context(in_thread(Sink()))
        names = {FAR: {"MX": [f"10 mx.{FAR}."]}, f"mx.{FAR}": {"A": [LOOPBACK]}}
        dns = stack.enter_context(in_thread(DnsServer(names)))
        yield volume, Place(volume.path, place, sink.port, dns.port), sink


def _made(directory: Path) -> Path:
    directory.mkdir()
    directory.chmod(0o755)
    return directory


def _certificate(place: Path) -> CertificateFiles:
    """Make what the harnesses want; nothing is encrypted here."""
    return CertificateAuthority(place).issue("rival.test")
