"""MailFilters become filters of whoever names them; what can't be asked is never passed over in silence."""

import base64
from typing import Any

import pytest

from paquebot_mta.config.filters import Builtin, Criterion, Filter, FilterAction, Greylist, Process
from paquebot_operator.api.decode import ObjectError, decode
from paquebot_operator.compile.judge import judge
from paquebot_operator.compile.objects import Objects
from paquebot_operator.compile.service import compile_service
from tests.operator.builders import API, KEY, NOW, Json, compiled, domain, found, metadata, objects, service, table

REFS = [{"name": "spam"}]


def mail_filter(name: str, **spec: Any) -> Json:
    return {"apiVersion": API, "kind": "MailFilter", "metadata": metadata(name), "spec": spec}


SPAM = mail_filter("spam", greylist={})


def test_a_filter_that_is_not_there_is_an_error_where_it_is_named() -> None:
    result = compiled(service(listeners=[{"name": "mx", "port": 2525, "filterRefs": REFS}]))
    condition = found(result, "MailService", "FilterNotFound")
    assert (condition.status, condition.field) == ("False", "spec.listeners[0].filterRefs[0]")


def test_a_filter_is_in_the_configuration_of_whoever_names_it() -> None:
    for result in (
        compiled(service(listeners=[{"name": "mx", "port": 2525, "filterRefs": REFS}]), SPAM),
        compiled(service(), domain(filterRefs=REFS), SPAM),
    ):
        assert result.config is not None
        assert result.config.service.filters == {"default/spam": Filter(kind=Greylist(store="volume"))}
        named = [each.filters for each in result.config.service.listeners]
        named += [each.filters for each in result.config.domains.values()]
        assert ("default/spam",) in named


def test_a_filter_that_nobody_names_is_not_in_the_configuration() -> None:
    result = compiled(service(), SPAM)
    assert result.config is not None
    assert result.config.service.filters == {}


def test_who_only_reports_to_a_service_that_does_not_listen_is_warned() -> None:
    result = compiled(service(actions=[{"name": "out", "relay": {"filterRefs": REFS}}]), SPAM)
    condition = found(result, "MailService", "FilterWithoutEffect")
    assert (condition.severity, condition.field) == ("Warning", "spec.actions[0].relay.filterRefs[0]")
    assert result.files


def builtin_of(phase: str, when: Json, act: Json, *others: Json) -> Builtin:
    item = mail_filter("spam", builtin={"phase": phase, "when": when, "action": act})
    result = compiled(service(listeners=[{"name": "mx", "port": 2525, "filterRefs": REFS}]), item, *others)
    assert result.config is not None, result.conditions
    kind = result.config.service.filters["default/spam"].kind
    assert isinstance(kind, Builtin)
    return kind


def test_conditions_are_joined_as_they_are_written() -> None:
    when = {
        "all": [{"src": {"values": ["192.0.2.0/24"]}, "fcrdns": {"negate": True}}],
        "any": [{"helo": {"values": ["^mail"], "regex": True}}, {"auth": {}}],
        "not": [{"hasRdns": {}}],
    }
    kind = builtin_of("MailFrom", when, {"junk": {}})
    src = Criterion(kind="src", values=("192.0.2.0/24",))
    no_fcrdns = Criterion(kind="not", items=(Criterion(kind="fcrdns"),))
    helo = Criterion(kind="helo", values=("^mail",), regex=True)
    assert kind.phase == "mail-from"
    assert kind.action == FilterAction(kind="junk")
    assert kind.when == Criterion(
        kind="all",
        items=(
            Criterion(kind="all", items=(no_fcrdns, src)),
            Criterion(kind="any", items=(helo, Criterion(kind="auth"))),
            Criterion(kind="not", items=(Criterion(kind="rdns"),)),
        ),
    )


def test_no_condition_always_holds() -> None:
    kind = builtin_of("Connect", {}, {"reject": {"code": 554, "status": "5.7.0", "text": "closed"}})
    assert kind.when == Criterion(kind="all")
    assert kind.action == FilterAction(kind="reject", code=554, status="5.7.0", text="closed")


def test_all_but_some_users_means_authenticated_ones_only() -> None:
    users = {"auth": {"users": {"values": ["bob"], "negate": True}}}
    kind = builtin_of("RcptTo", {"all": [users]}, {"bypass": {}})
    bob = Criterion(kind="not", items=(Criterion(kind="auth", values=("bob",)),))
    assert kind.when == Criterion(kind="all", items=(Criterion(kind="auth"), bob))


def test_another_name_is_a_name() -> None:
    kind = builtin_of("Connect", {"all": [{"rdns": {"values": ["*.good.test"], "negate": True}}]}, {"junk": {}})
    good = Criterion(kind="not", items=(Criterion(kind="rdns", values=("*.good.test",)),))
    assert kind.when == Criterion(kind="all", items=(Criterion(kind="rdns"), good))


def test_a_table_of_a_filter_comes_along() -> None:
    bad = table("bad", "mailaddr", inline={"keys": ["@spam.test"]})
    kind = builtin_of("MailFrom", {"all": [{"mailFrom": {"tableRef": {"name": "bad"}}}]}, {"junk": {}}, bad)
    assert kind.when == Criterion(kind="mail-from", table="default/bad")


def test_what_is_wrong_with_a_filter_is_said_of_it_and_of_whoever_names_it() -> None:
    when = {"all": [{"helo": {"values": ["(a+)+b"], "regex": True}}]}
    item = mail_filter("spam", builtin={"phase": "Ehlo", "when": when, "action": {"junk": {}}})
    result = compiled(service(), domain(filterRefs=REFS), item)
    assert found(result, "MailDomain", "InvalidFilter").field == "spec.filterRefs[0]"
    assert ("spam", "UnsupportedValue") in reasons(item)


@pytest.mark.parametrize("by_chain", [False, True])
def test_a_domain_whose_filter_rewrites_what_it_never_sees_is_told(by_chain: bool) -> None:
    rewrite = {"phase": "MailFrom", "action": {"rewrite": {"value": "a@b.test"}}}
    others = [mail_filter("early", builtin=rewrite), mail_filter("all", chain=[{"name": "early"}])]
    refs = [{"name": "all" if by_chain else "early"}]
    condition = found(compiled(service(), domain(filterRefs=refs), *others), "MailDomain", "FilterTooEarly")
    assert (condition.type, condition.status, condition.field) == ("ResolvedRefs", "False", "spec.filterRefs[0]")
    early = {"phase": "MailFrom", "action": {"junk": {}}}
    result = compiled(service(), domain(filterRefs=[{"name": "early"}]), mail_filter("early", builtin=early))
    assert result.config is not None
    assert result.config.domains["example.test"].filters == ("default/early",)


def test_a_chain_brings_its_filters() -> None:
    chain = mail_filter("all", chain=[*REFS, {"name": "other"}])
    other = mail_filter("other", milter={"address": "127.0.0.1:11332"})
    refs = [{"name": "all"}]
    result = compiled(service(listeners=[{"name": "mx", "port": 2525, "filterRefs": refs}]), chain, SPAM, other)
    assert result.config is not None
    assert set(result.config.service.filters) == {"default/all", "default/spam", "default/other"}


PROGRAM = mail_filter("spam", process={"command": ["/usr/bin/filter", "-v"], "image": "example.test/filter:1"})


@pytest.mark.parametrize("local", [True, False])
def test_a_program_is_a_child_without_a_cluster_and_a_container_in_one(local: bool) -> None:
    items = service(listeners=[{"name": "mx", "port": 2525, "filterRefs": REFS}]), PROGRAM
    result = compile_service(Objects.of([decode(each) for each in items], local=local), KEY, now=NOW)
    assert result.config is not None
    kind = result.config.service.filters["default/spam"].kind
    assert isinstance(kind, Process)
    assert kind.command == (("/usr/bin/filter", "-v") if local else ())
    assert kind.socket == ("" if local else "/run/paquebot-filters/default.spam/socket")


def test_a_program_without_an_image_is_refused_in_a_cluster_and_says_what_to_write() -> None:
    item = mail_filter("spam", process={"command": ["/x"]})
    result = compiled(service(listeners=[{"name": "mx", "port": 2525, "filterRefs": REFS}]), item)
    assert found(result, "MailService", "InvalidFilter").status == "False"
    told = next(each for each in judge(objects(item), now=NOW).conditions if each.status == "False")
    assert told.field == "spec.process.image"
    assert "set image" in told.message


def test_an_image_without_a_command_is_refused_for_nobody_knows_what_it_would_start() -> None:
    with pytest.raises(ObjectError, match="set command, the program and its arguments"):
        decode(mail_filter("spam", process={"image": "example.test/x"}))


def test_a_program_runs_in_the_service_s_pods_so_another_namespace_can_not_bring_one() -> None:
    elsewhere = domain(filterRefs=REFS, meta={"namespace": "tenant"})
    program = PROGRAM | {"metadata": metadata("spam", "tenant")}
    allowing = service(allowedDomains={"namespaces": {"from": "All"}})
    result = compiled(allowing, elsewhere, program)
    assert found(result, "MailDomain", "ProgramNotAllowed").status == "False"
    greylist = SPAM | {"metadata": metadata("spam", "tenant")}
    assert compiled(allowing, elsewhere, greylist).config.domains  # type: ignore[union-attr]


REDIS = mail_filter(
    "spam", greylist={"store": "redis://paquebot@valkey.mail.svc:6379/0", "passwordRef": {"name": "valkey"}}
)
WORD = "correct-horse-battery"


def secret(name: str, **texts: str) -> Json:
    data = {key: base64.b64encode(text.encode()).decode() for key, text in texts.items()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata(name), "data": data}


def test_the_password_of_redis_comes_from_a_secret_and_is_nowhere_but_in_the_configuration() -> None:
    mx = service(listeners=[{"name": "mx", "port": 2525, "filterRefs": REFS}])
    result = compiled(mx, REDIS, secret("valkey", password=f"{WORD}\n"))
    assert result.config is not None
    kind = result.config.service.filters["default/spam"].kind
    assert isinstance(kind, Greylist)
    assert (kind.store, kind.password) == ("redis://paquebot@valkey.mail.svc:6379/0", WORD)
    assert WORD not in str(result.conditions)


def test_a_password_that_is_not_there_is_said_and_what_to_do() -> None:
    for items, reason in (((REDIS,), "SecretNotFound"), ((REDIS, secret("valkey", other="x")), "KeyNotFound")):
        assert ("spam", reason) in reasons(*items)


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"greylist": {"store": f"redis://paquebot:{WORD}@valkey.test/0"}}, "spec.greylist.store"),
        ({"rspamd": {"url": f"http://paquebot:{WORD}@rspamd.test:11333"}}, "spec.rspamd.url"),
    ],
)
def test_a_password_in_an_object_is_warned_of_and_not_repeated(spec: Json, field: str) -> None:
    found = judge(objects(mail_filter("spam", **spec)), now=NOW).conditions
    (warning,) = [each for each in found if each.reason == "PasswordInSpec"]
    assert (warning.severity, warning.field) == ("Warning", field)
    assert WORD not in str(found)


def test_a_password_is_for_redis() -> None:
    with pytest.raises(ObjectError, match="passwordRef is for a store in Redis"):
        decode(mail_filter("spam", greylist={"passwordRef": {"name": "valkey"}}))


@pytest.mark.parametrize(
    ("store", "pods", "warned"),
    [
        ("volume", {"replicas": 3}, False),
        ("memory", {"replicas": 1}, False),
        ("memory", {"replicas": 3}, True),
        ("memory", {"replicas": 1, "pods": {"workers": 2}}, True),
        ("memory", {"replicas": 1, "autoscaling": {"minReplicas": 1, "maxReplicas": 2}}, True),
        ("volume", {"replicas": 1, "pods": {"workers": 2}, "queue": {"storage": {"mode": "PerPod"}}}, False),
        ("volume", {"replicas": 2, "queue": {"storage": {"mode": "PerPod"}}}, True),
        ("redis://valkey.test/0", {"replicas": 3, "queue": {"storage": {"mode": "PerPod"}}}, False),
    ],
)
def test_a_greylist_that_a_retry_may_miss_is_warned_of(store: str, pods: Json, warned: bool) -> None:
    item = mail_filter("spam", greylist={"store": store})
    result = compiled(service(listeners=[{"name": "mx", "port": 2525, "filterRefs": REFS}], **pods), item)
    assert result.config is not None
    assert ("GreylistNotShared" in {each.reason for each in result.conditions}) == warned


def reasons(*filters: Json) -> set[tuple[str, str]]:
    return {(each.name, each.reason) for each in judge(objects(*filters), now=NOW).conditions}


def test_a_chain_leads_to_filters_that_are_there() -> None:
    assert ("all", "FilterNotFound") in reasons(mail_filter("all", chain=REFS))
    assert ("all", "ResolvedRefs") in reasons(mail_filter("all", chain=REFS), SPAM)


def test_a_chain_holds_no_chain() -> None:
    chains = mail_filter("all", chain=[{"name": "inner"}]), mail_filter("inner", chain=REFS)
    assert ("all", "NestedChain") in reasons(*chains, SPAM)
