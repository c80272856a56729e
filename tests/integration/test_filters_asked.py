"""A whole Paquebot with filters that ask: rspamd, a milter, lists in DNS, greylisting with a file."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from msgspec import structs

from paquebot_mta.config.actions import Action
from paquebot_mta.config.domains import Domain
from paquebot_mta.config.filters import Dnsbl, DnsList, Filter, Greylist, Milter, Rspamd
from tests.support.dkim_verifier import DkimKey
from tests.support.dns_server import DnsServer
from tests.support.fake_mx import FakeMx
from tests.support.milters import SIGNED, running_opendkim
from tests.support.paquebot import Paquebot, running_paquebot
from tests.support.paquebot_config import ALICE, BOB, FAR, PaquebotSettings, example_domain
from tests.support.processes import LOOPBACK, free_port, peer_directory, wait_until
from tests.support.requirements import needs_programs
from tests.support.rspamd import running_rspamd

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

LETTER = b"From: joe@client.test\r\nTo: alice@example.test\r\nSubject: Hello\r\n%s\r\nhello\r\n.dot\r\n"
SECRET = "correct-horse-battery"
LISTED, STRANGER, OTHER = "127.0.0.2", "127.0.1.3", "127.0.2.4"


@pytest.fixture
def peers() -> Iterator[Path]:
    with peer_directory() as path:
        yield path


def with_junk(directory: Path) -> Domain:
    domain = example_domain(directory)
    maildir = domain.delivery.maildir
    assert maildir is not None
    return structs.replace(domain, delivery=Action(maildir=structs.replace(maildir, junk=True)))


def send(paquebot: Paquebot, extra: bytes = b"", client: str = "", sender: str = "joe@client.test") -> str:
    options = ["--local-interface", client] if client else []
    return paquebot.send(sender, [ALICE], *options, content=LETTER % extra).transcript


@needs_programs("rspamd")
def test_rspamd_refuses_marks_and_changes(directory: Path, settings: PaquebotSettings, peers: Path) -> None:
    with running_rspamd(peers) as url:
        filters = {"rspamd": Filter(kind=Rspamd(url=url))}
        mailboxes = (with_junk(directory / "rspamd"),)
        chosen = replace(settings, filters=filters, listener_filters=("rspamd",), domains=mailboxes)
        with running_paquebot(directory / "rspamd", chosen) as paquebot:
            assert "550 5.7.1 message rejected" in send(paquebot, b"X-Points: 20\r\n")
            assert "421 4.7.1 because of greylist" in send(paquebot, b"X-Words: greylist\r\n")
            assert "451 4.7.1 because of soft reject" in send(paquebot, b"X-Words: soft reject\r\n")
            assert "250 2.0.0" in send(paquebot, b"X-Words: discard\r\n")
            assert "250 2.0.0" in send(paquebot)
            assert "250 2.0.0" in send(paquebot, b"X-Points: 11\r\n")
            (good,) = paquebot.wait_for_delivered(ALICE)
            paquebot.wait_for(lambda: bool(paquebot.delivered(ALICE, ".Junk")), "junk")
            (junk,) = paquebot.delivered(ALICE, ".Junk")
            paquebot.wait_for_empty_queue()
            assert len(paquebot.delivered(ALICE)) == 1
            check_there(paquebot, "rspamd")
    assert good.index(b"X-Spam-Action: no action\n") < good.index(b"Received: ") < good.index(b"Subject: Hello\n")
    assert good.endswith(b"\nhello\n.dot\n")
    assert b"X-Told: alice@example.test joe@client.test 127.0.0.1 client.test -" in good
    assert b"X-Spam: yes\n" in junk
    assert b"X-Spam-Score: 11.00 / 15.00\n" in junk
    assert b"Subject: *** SPAM *** Hello\n" in junk


@needs_programs("rspamd")
def test_a_session_outlives_an_rspamd_that_is_away(directory: Path, settings: PaquebotSettings, peers: Path) -> None:
    with running_rspamd(peers) as url:
        pass
    grey = Filter(kind=Greylist(store=f"redis://{LOOPBACK}:{free_port()}/0", password=SECRET))
    filters = {"rspamd": Filter(kind=Rspamd(url=url, password=SECRET, timeout_seconds=2)), "grey": grey}
    chosen = replace(settings, filters=filters, listener_filters=("grey", "rspamd"))
    with running_paquebot(directory / "away", chosen) as paquebot:
        assert "451 4.7.1" in send(paquebot)
        paquebot.wait_for_log("smtp-in.link-disconnect", reason="quit")
        check_away(paquebot)
        lax = {"rspamd": Filter(kind=Rspamd(url=url, timeout_seconds=2, on_failure="Proceed")), "grey": grey}
        paquebot.change(filters=lax)
        assert "250 2.0.0" in send(paquebot)
        paquebot.wait_for_delivered(ALICE)


def check_there(paquebot: Paquebot, name: str) -> None:
    """A service that answers is never said to be away."""
    assert paquebot.metric("paquebot_filter_up", filter=name) == 1.0
    assert "filter.away" not in paquebot.process.log()


def check_away(paquebot: Paquebot) -> None:
    """A service that all pods ask takes none of them away, but everybody can see that it is missing."""
    assert paquebot.wait_for_log("filter.away", filter="rspamd")
    assert paquebot.wait_for_log("filter.away", filter="grey")
    status, told = paquebot.get("/readyz")
    assert status == 200
    assert b"filter rspamd: it can't be used" in told
    assert paquebot.metric("paquebot_filter_up", filter="rspamd") == 0.0
    assert b"it can't be used" in paquebot.cli("show", "filters", "--json").stdout
    assert b"it can't be used" in paquebot.cli("show", "status", "--json").stdout
    assert b"filter grey: it can't be used: redis: ConnectionError" in told
    seen = [told, *(paquebot.get(page)[1] for page in ("/config", "/metrics", "/healthz"))]
    assert SECRET not in paquebot.process.log() + b"".join(seen).decode()


@needs_programs("opendkim", "perl")
def test_what_a_milter_signed_verifies_where_it_arrives(
    directory: Path, settings: PaquebotSettings, far_mx: FakeMx, peers: Path
) -> None:
    key = DkimKey(peers)
    letter = LETTER.replace(b"joe@client.test", ALICE.encode()) % b""
    with running_opendkim(peers, key.path) as address:
        filters = {"sign": Filter(kind=Milter(address=address))}
        chosen = replace(settings, filters=filters, listener_filters=("sign",))
        with running_paquebot(directory / "milter", chosen) as paquebot:
            paquebot.submit(ALICE, [f"friend@{FAR}"], content=letter).checked()
            wait_until(lambda: bool(far_mx.transactions), "a message at the far host", 20.0)
            paquebot.wait_for_empty_queue()
            check_there(paquebot, "sign")
    content = far_mx.transactions[-1].content
    assert key.verify(content) == [f"{SIGNED} pass"]


def test_listed_clients_are_refused_and_strangers_come_again(
    directory: Path, settings: PaquebotSettings, dns: DnsServer, far_mx: FakeMx
) -> None:
    zones = {
        FAR: {"MX": [f"10 mx.{FAR}."]},
        f"mx.{FAR}": {"A": ["127.0.0.1"]},
        "2.0.0.127.bl.test": {"A": ["127.0.0.4"]},
        "client.test": {"TXT": [f'"v=spf1 ip4:{STRANGER} ip4:{OTHER} -all"']},
    }
    dns.change(zones)
    lists = Dnsbl(lists=(DnsList(zone="bl.test", codes=("127.0.0.4",)),))
    grey = Greylist(store=f"sqlite:{directory}/greylist.db", delay_seconds=1)
    filters = {"lists": Filter(kind=lists), "grey": Filter(kind=grey)}
    chosen = replace(settings, filters=filters, listener_filters=("lists", "grey"))
    with running_paquebot(directory / "asked", chosen) as paquebot:
        assert f"Your address is listed ({LISTED}: bl.test)" in send(paquebot, client=LISTED)
        assert "451 4.7.1 Greylisted, please come back in" in send(paquebot, client=STRANGER)
        wait_until(lambda: "250 2.0.0" in send(paquebot, client=STRANGER), "the end of the delay", 10.0)
        assert "250 2.0.0" in send(paquebot, client=OTHER), "the same domain, by SPF"
        assert "451 4.7.1" in send(paquebot, client=OTHER, sender=f"friend@{FAR}")
        paquebot.submit(BOB, [f"pal@{FAR}"]).checked()
        paquebot.wait_for_empty_queue()
        assert "250 2.0.0" in send(paquebot, client="127.0.3.5", sender=f"pal@{FAR}"), "whom bob wrote to"
        paquebot.stop()
        paquebot.restart()
        assert "250 2.0.0" in send(paquebot, client=STRANGER), "the file outlives the process"
