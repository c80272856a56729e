"""Filters of domains that would be asked before a recipient: they act at the recipient, whoever else names them."""

from dataclasses import replace

import pytest

from paquebot_mta.config import filters as config
from paquebot_mta.config.actions import Action, Discard
from paquebot_mta.config.domains import Domain
from paquebot_mta.config.filters import Criterion, FilterAction, Phase
from paquebot_mta.config.listeners import Listener
from paquebot_mta.config.service import MtaConfig, ServiceShard
from paquebot_mta.filter.chain import Chain
from paquebot_mta.filter.contract import Facts
from paquebot_mta.filter.decisions import PROCEED, Reject
from paquebot_mta.filter.running import RunningFilters

from .asked import World, facts

REFUSE = FilterAction(kind="reject", code=550, status="5.7.1", text="never")
ALWAYS = Criterion(kind="all")


def chain_of_domain(kind: config.Kind, *, listener: bool, world: World | None = None) -> Chain:
    """Give the filters of a domain, while another listener names the same one or not."""
    listeners = (Listener(name="mx"), Listener(name="other", filters=("f",) if listener else ()))
    service = ServiceShard(
        name="t/mail", hostname="mx.test", listeners=listeners, filters={"f": config.Filter(kind=kind)}
    )
    domain = Domain(name="d.test", delivery=Action(discard=Discard()), filters=("f",))
    settings = MtaConfig(digest="0" * 64, generation=1, service=service, domains={"d.test": domain}, tables={})
    return RunningFilters((world or World()).tools).plan(settings, {}).screens["mx"].domains["d.test"]


async def refused(chain: Chain, known: Facts) -> bool:
    verdict = await chain.decide("rcpt-to", known, "u@d.test")
    assert isinstance(verdict.decision, Reject) or verdict.decision == PROCEED
    return verdict.refusal is not None


@pytest.mark.parametrize("listener", [False, True])
@pytest.mark.parametrize(
    "kind",
    [
        config.SenderScore(zone="score.test", block_below=50),
        config.Dnsbl(lists=(config.DnsList(zone="score.test"),)),
        config.Builtin(phase="mail-from", when=ALWAYS, action=REFUSE),
        config.Builtin(phase="connect", when=ALWAYS, action=REFUSE),
    ],
)
async def test_a_domain_s_filter_of_an_earlier_phase_acts_at_rcpt(kind: config.Kind, listener: bool) -> None:
    world = World({"1.2.0.192.score.test": {"A": ["127.0.4.5"]}})
    assert await refused(chain_of_domain(kind, listener=listener, world=world), facts())


@pytest.mark.parametrize(
    ("phase", "session", "other"),
    [
        ("helo", {"method": "HELO"}, {"method": "EHLO"}),
        ("ehlo", {"method": "LHLO"}, {"method": "HELO"}),
        ("starttls", {"tls": "TLSv1.3:AES:256"}, {}),
        ("auth", {"user": "joe"}, {}),
    ],
)
async def test_what_not_every_session_does_matters_only_if_it_did(
    phase: Phase, session: dict[str, str], other: dict[str, str]
) -> None:
    chain = chain_of_domain(config.Builtin(phase=phase, when=ALWAYS, action=REFUSE), listener=False)
    assert await refused(chain, replace(facts(), **session))  # type: ignore[arg-type]
    assert not await refused(chain, replace(facts(), **other))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("phase", "when", "spared"),
    [
        ("mail-from", Criterion(kind="mail-from", values=("@bad.test",)), {"reverse_path": "a@good.test"}),
        ("ehlo", Criterion(kind="helo", values=("bad.test",)), {"helo": "good.test"}),
        ("connect", Criterion(kind="src", values=("192.0.2.0/24",)), {"client_address": "198.51.100.1"}),
    ],
)
async def test_conditions_of_earlier_phases_hold_at_rcpt_as_they_did(
    phase: Phase, when: Criterion, spared: dict[str, str]
) -> None:
    chain = chain_of_domain(config.Builtin(phase=phase, when=when, action=REFUSE), listener=False)
    known = facts(reverse_path="a@bad.test", helo="bad.test", method="EHLO")
    assert await refused(chain, known)
    assert not await refused(chain, replace(known, **spared))  # type: ignore[arg-type]


async def test_nothing_earlier_is_rewritten_at_rcpt() -> None:
    rewrite = FilterAction(kind="rewrite", value="b@c.test")
    chain = chain_of_domain(config.Builtin(phase="mail-from", when=ALWAYS, action=rewrite), listener=False)
    assert not chain.asks("rcpt-to")
