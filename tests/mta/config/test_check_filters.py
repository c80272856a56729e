"""What a configuration's filters must be, so that nothing of them is a surprise while mail flows."""

import pytest

from paquebot_mta.config.check_filters import check_filters
from paquebot_mta.config.check_tables import Names
from paquebot_mta.config.errors import Faults
from paquebot_mta.config.filters import (
    Builtin,
    Chain,
    Criterion,
    Dnsbl,
    DnsList,
    Filter,
    FilterAction,
    Greylist,
    Kind,
    Milter,
    Phase,
    Process,
    Rspamd,
    SenderScore,
)
from paquebot_mta.config.tables import Inline, Table

ALWAYS = Criterion(kind="all")
JUNK = FilterAction(kind="junk")
REWRITE = FilterAction(kind="rewrite", value="c@d.test")
SLOW = Criterion(kind="helo", values=("(a+)+",), regex=True)
TABLES = {"t": Table(services=("string",), inline=Inline(keys=("a",)))}


def faults_of(kind: Kind, **others: Kind) -> list[str]:
    faults = Faults()
    filters = {name: Filter(kind=each) for name, each in {"f": kind, **others}.items()}
    check_filters(filters, "service.filters", Names(TABLES, {}, faults, filters))
    return [str(fault) for fault in faults.found]


def builtin(phase: Phase = "ehlo", when: Criterion = ALWAYS, action: FilterAction = JUNK) -> Builtin:
    return Builtin(phase=phase, when=when, action=action)


@pytest.mark.parametrize(
    "kind",
    [
        builtin(),
        builtin("connect", Criterion(kind="src", values=("192.0.2.0/24",))),
        builtin("rcpt-to", Criterion(kind="rcpt-to", values=("a@b.test",)), REWRITE),
        builtin("mail-from", Criterion(kind="auth", table="t"), FilterAction(kind="bypass")),
        Process(command=("/bin/x",)),
        Process(socket="/run/x"),
        Rspamd(url="http://127.0.0.1:11333"),
        Dnsbl(lists=(DnsList(zone="zen.test", codes=("127.0.0.2", "127.0.0.0/30")),)),
        SenderScore(block_below=50),
        Greylist(store="redis://127.0.0.1:6379/0"),
        Greylist(store="rediss://paquebot@redis.test/0", password="secret"),
        Greylist(store="volume"),
        Milter(address="[::1]:8891"),
        Milter(address="unix:/run/milter"),
    ],
)  # fmt: skip
def test_a_good_filter_has_no_fault(kind: Kind) -> None:
    assert faults_of(kind) == []


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        (builtin("data-line"), "service.filters.f.kind.phase"),
        (builtin("commit"), "service.filters.f.kind.action.kind"),
        (builtin("data", action=FilterAction(kind="rewrite", value="x")), "service.filters.f.kind.action"),
        (builtin("ehlo", action=FilterAction(kind="rewrite")), "service.filters.f.kind.action"),
        (builtin(action=FilterAction(kind="reject", code=250)), "service.filters.f.kind.action.code"),
        (builtin(action=FilterAction(kind="reject", status="x")), "service.filters.f.kind.action.status"),
        (builtin(action=FilterAction(kind="report", text="a\rb")), "service.filters.f.kind.action"),
        (builtin("connect", Criterion(kind="helo", values=("x",))), "service.filters.f.kind.when.kind"),
        (builtin("data", Criterion(kind="rcpt-to", values=("x@y.z",))), "service.filters.f.kind.when.kind"),
        (builtin("ehlo", Criterion(kind="auth")), "service.filters.f.kind.when.kind"),
        (builtin("data", Criterion(kind="mail-from")), "service.filters.f.kind.when"),
        (builtin("data", Criterion(kind="auth", values=("a",), table="t")), "service.filters.f.kind.when"),
        (builtin("data", Criterion(kind="mail-from", table="t")), "service.filters.f.kind.when.table"),
        (builtin("ehlo", SLOW), "service.filters.f.kind.when.values[0]"),
        (builtin("ehlo", Criterion(kind="src", values=("mars",))), "service.filters.f.kind.when.values[0]"),
        (builtin("ehlo", Criterion(kind="not")), "service.filters.f.kind.when.items"),
        (
            builtin("ehlo", Criterion(kind="any", items=(ALWAYS, Criterion(kind="src", values=("mars",))))),
            "service.filters.f.kind.when.items[1].values[0]",
        ),
        (Process(), "service.filters.f.kind"),
        (Process(command=("/x",), socket="/y"), "service.filters.f.kind"),
        (Rspamd(url="ftp://x"), "service.filters.f.kind.url"),
        (Rspamd(url="http://x", timeout_seconds=0), "service.filters.f.kind.timeoutSeconds"),
        (Dnsbl(lists=()), "service.filters.f.kind.lists"),
        (Dnsbl(lists=(DnsList(zone="z.test", codes=("x",)),)), "service.filters.f.kind.lists[0].codes"),
        (Dnsbl(lists=(DnsList(zone="z.test", codes=("192.0.2.1",)),)), "service.filters.f.kind.lists[0].codes"),
        (SenderScore(junk_below=101), "service.filters.f.kind"),
        (Greylist(store="mongo://x"), "service.filters.f.kind.store"),
        (Greylist(allow="nothing"), "service.filters.f.kind.allow"),
        (Milter(address="localhost"), "service.filters.f.kind.address"),
        (Chain(filters=("nothing",)), "service.filters.f.kind.filters[0]"),
        (Chain(filters=("g", "g")), "service.filters.f.kind.filters[1]"),
    ],
)  # fmt: skip
def test_a_bad_filter_has_a_fault_with_its_place(kind: Kind, path: str) -> None:
    assert [fault.partition(": ")[0] for fault in faults_of(kind, g=builtin())] == [path]


def test_a_chain_holds_no_chain() -> None:
    assert len(faults_of(Chain(filters=("g",)), g=Chain(filters=("h",)), h=builtin())) == 1
